#include "logout.h"
#include "auth.h"
#include "endpoint.h"
#include "identify.h"
#include "issuer.h"
#include "refuse.h"
#include "revocations.h"
#include "token.h"
#include "aigw_text.h"

#include <http_log.h>
#include <http_protocol.h>

APLOG_USE_MODULE(aigw_auth);

#define SHOWN_JTI 100

/* check_authn has found it good a moment ago; here it is asked what it is called. 1, or there is none. */
static int token_of(request_rec *r, aigw_token_t *token)
{
    aigw_credential_t credential;

    return aigw_identify_credential(r, &credential) == AIGW_CREDENTIAL_OK &&
           aigw_token_verify(r, credential.token, credential.len, apr_time_now(), token) == AIGW_TOKEN_GOOD;
}

static int store_unavailable(request_rec *r, apr_status_t rv)
{
    aigw_error_t *error = aigw_auth_core->error_make(r->pool, HTTP_SERVICE_UNAVAILABLE, "store_unavailable", NULL,
                                                     "The token could not be logged out: it is still good. Try again later.");

    error->retry_after = apr_time_from_sec(APR_STATUS_IS_ENOSPC(rv) ? 60 : 5);
    return aigw_auth_core->error_send(r, error);
}

/* Until nobody can take it any more: another virtual host, and this one after a restart, may have another AIGWJwtSkew for an issuer of this name. */
static int log_out(request_rec *r, const aigw_token_t *token)
{
    apr_status_t rv = aigw_revocations_add(r, token->issuer, token->jti, token->identity.expires + AIGW_ISSUER_SKEW_MAX, apr_time_now());

    if (rv != APR_SUCCESS) {
        return store_unavailable(r, rv);
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0374: logged out: the token %s of %s", aigw_text_shown(r->pool, token->jti, SHOWN_JTI),
                  aigw_text_shown(r->pool, token->identity.user, SHOWN_JTI));
    return aigw_endpoint_answer(r, "{\"status\":\"logged_out\"}\n");
}

static int logout_handler(request_rec *r)
{
    const aigw_request_t *context;
    aigw_token_t token;
    int rc;

    if (!aigw_endpoint_is(r, "aigw-logout")) {
        return DECLINED;
    }
    if (aigw_endpoint_refused(r, 0, &rc)) {
        return rc;
    }
    context = aigw_auth_core->request(r);
    if (!context->identity.user) {
        aigw_refuse_anonymous(r);
        return aigw_auth_core->error_send(r, context->error);
    }
    if (context->identity.method && !strcmp(context->identity.method, AIGW_AUTH_API_KEY)) {
        return aigw_endpoint_error(r, HTTP_BAD_REQUEST, "bad_request", NULL,
                                   "An API key is not logged out. The administrator disables it with aigw-key.");
    }
    if (!aigw_auth_is_ours(r) || !token_of(r, &token)) {
        return aigw_endpoint_error(r, HTTP_BAD_REQUEST, "bad_request", NULL,
                                   "There is no token to log out: send it as Authorization: Bearer.");
    }
    if (!token.jti) {
        return aigw_endpoint_error(r, HTTP_BAD_REQUEST, "bad_request", NULL,
                                   "This token has no jti, so it cannot be logged out. It is good until it expires.");
    }
    return log_out(r, &token);
}

void aigw_logout_register(apr_pool_t *p)
{
    ap_hook_handler(logout_handler, NULL, NULL, APR_HOOK_MIDDLE);
}
