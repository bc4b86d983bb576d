#include "identify.h"
#include "auth.h"
#include "auth_conf.h"
#include "refuse.h"
#include "tiers.h"
#include "token.h"
#include "aigw_credential.h"
#include "aigw_jwt.h"

#include <http_core.h>
#include <http_log.h>
#include <http_request.h>
#include <apr_atomic.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

aigw_credential_e aigw_identify_credential(request_rec *r, aigw_credential_t *credential)
{
    const aigw_credential_fields_t fields = {
        .authorization = apr_table_get(r->headers_in, "Authorization"),
        .x_api_key = apr_table_get(r->headers_in, "X-API-Key"),
        .api_key = apr_table_get(r->headers_in, "api-key"),
        .websocket = apr_table_get(r->headers_in, "Sec-WebSocket-Protocol"),
    };

    return aigw_credential_read(&fields, r->pool, credential);
}

int aigw_auth_is_ours(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && !ap_cstr_casecmp(type, AIGW_AUTH_TYPE);
}

/* ------------------------------------------------------------------ who it is */

static void set_env(request_rec *r, const char *name, const char *value)
{
    if (value) {
        apr_table_setn(r->subprocess_env, name, value);
    }
}

/* AIGW_USER is set where the access log is written, with all others, and here for CGI and expressions. */
static int known(request_rec *r, aigw_identity_t *identity)
{
    if (!identity->tier) {
        identity->tier = aigw_tiers_find(r->server, r->pool, identity->user);
        identity->tier_listed = 1;
    }
    r->user = apr_pstrdup(r->pool, identity->user);
    r->ap_auth_type = apr_pstrdup(r->pool, AIGW_AUTH_TYPE);
    set_env(r, "AIGW_USER", identity->user);
    set_env(r, "AIGW_TIER", identity->tier);
    set_env(r, "AIGW_AUTH_METHOD", identity->method);
    set_env(r, "AIGW_KEY_ID", identity->key_id);
    return OK;
}

static int refuse_key(request_rec *r, aigw_key_e what, const char *id)
{
    switch (what) {
    case AIGW_KEY_DISABLED:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0320: the API key %s is disabled", id);
        return aigw_refuse_credential(r, "invalid_api_key", "This API key has been disabled.");
    case AIGW_KEY_EXPIRED:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0321: the API key %s has expired", id);
        return aigw_refuse_credential(r, "invalid_api_key", "This API key has expired.");
    default:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0322: an API key that is not known");
        return aigw_refuse_credential(r, "invalid_api_key", "This API key is not known.");
    }
}

static int identify_token(request_rec *r, const aigw_credential_t *credential, aigw_identity_t *identity)
{
    aigw_token_t token;

    switch (aigw_token_verify(r, credential->token, credential->len, apr_time_now(), &token)) {
    case AIGW_TOKEN_GOOD:
        *identity = token.identity;
        return known(r, identity);
    case AIGW_TOKEN_EXPIRED:
        return aigw_refuse_credential(r, "token_expired", "The access token has expired.");
    case AIGW_TOKEN_UNAVAILABLE:
        return aigw_refuse_unavailable(r, "The access token cannot be verified now. Try again in a moment.");
    default:
        return aigw_refuse_credential(r, "invalid_token", "The access token is not valid.");
    }
}

/* Once in a child is enough. */
static void warn_of_nobody(request_rec *r, const aigw_auth_server_t *conf)
{
    static volatile apr_uint32_t said;

    if (!conf->keys && !conf->issuers && !apr_atomic_xchg32(&said, 1)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "AIGW0323: AuthType AIGW holds, and there is nobody to let in: neither AIGWKeyFile nor <AIGWJwtIssuer>");
    }
}

/* Keys first: they may look like anything, tokens cannot. */
static int identify_credential(request_rec *r, const aigw_credential_t *credential, aigw_identity_t *identity)
{
    const aigw_auth_server_t *conf = ap_get_module_config(r->server->module_config, &aigw_auth_module);
    aigw_identity_t found = {0};
    aigw_key_e what = conf->keys ? aigw_key_store_find(conf->keys, credential->token, credential->len, apr_time_now(), r->pool, &found)
                                 : AIGW_KEY_UNKNOWN;

    warn_of_nobody(r, conf);
    if (what == AIGW_KEY_GOOD) {
        *identity = found;
        return known(r, identity);
    }
    if (what == AIGW_KEY_UNKNOWN && aigw_jwt_looks_like(credential->token, credential->len)) {
        return identify_token(r, credential, identity);
    }
    return refuse_key(r, what, found.key_id);
}

static int identify(request_rec *r, aigw_request_t *context)
{
    aigw_credential_t credential;

    switch (aigw_identify_credential(r, &credential)) {
    case AIGW_CREDENTIAL_OK:
        return identify_credential(r, &credential, &context->identity);
    case AIGW_CREDENTIAL_MULTIPLE:
        return aigw_refuse_multiple(r);
    case AIGW_CREDENTIAL_BAD:
        return aigw_refuse_credential(r, "invalid_api_key", "This is no API key.");
    default:
        return aigw_refuse_anonymous(r);
    }
}

/* ------------------------------------------------------------------ hooks */

/* Not one that another AuthType has let in elsewhere, before an internal redirect. */
static int is_of_us(const aigw_identity_t *identity)
{
    return identity->user && identity->method && (!strcmp(identity->method, AIGW_AUTH_API_KEY) || !strcmp(identity->method, AIGW_AUTH_JWT));
}

static int check_authn(request_rec *r)
{
    apr_time_t began = aigw_clock_now();
    aigw_request_t *context;
    int rc;

    if (!aigw_auth_is_ours(r)) {
        return DECLINED;
    }
    context = aigw_auth_core->request(r);
    if (is_of_us(&context->identity)) { /* the main request's, for a sub-request or after an internal redirect */
        return known(r, &context->identity);
    }
    rc = identify(r, context);
    context->auth_time = aigw_clock_now() - began;
    return rc;
}

/* A credential that is there is looked at, also where nobody has to have one. */
static int force_authn(request_rec *r)
{
    aigw_credential_t credential;

    return aigw_auth_is_ours(r) && aigw_identify_credential(r, &credential) != AIGW_CREDENTIAL_NONE ? OK : DECLINED;
}

/* Where httpd or another module knows who it is (AuthType Basic, a client certificate, OpenID Connect), our endpoints do too. */
static int adopt_user(request_rec *r)
{
    aigw_request_t *context;

    if (!r->main && r->user && *r->user && !aigw_auth_is_ours(r) && r->handler && !strncmp(r->handler, "aigw-", 5)) {
        context = aigw_auth_core->request(r);
        if (!context->identity.user) {
            context->identity.user = apr_pstrdup(r->pool, r->user);
            context->identity.method = r->ap_auth_type ? r->ap_auth_type : "httpd";
            context->identity.tier = aigw_tiers_find(r->server, r->pool, r->user);
            context->identity.tier_listed = 1;
        }
    }
    return DECLINED;
}

/* Caches know that what is answered to Authorization is not for others (RFC 9111, section 3.5), and know nothing of the other fields: mod_cache's quick handler would give it to
 * whoever asks next, before anybody is asked for a key. Our endpoints say so themselves. */
static int keep_from_caches(request_rec *r)
{
    if (aigw_auth_is_ours(r) && r->user && !apr_table_get(r->headers_in, "Authorization") &&
        (!r->handler || strncmp(r->handler, "aigw-", 5))) {
        apr_table_mergen((r->main ? r->main : r)->err_headers_out, "Cache-Control", "private");
    }
    return DECLINED;
}

void aigw_identify_register(apr_pool_t *p)
{
    ap_hook_check_authn(check_authn, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_force_authn(force_authn, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(adopt_user, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_fixups(keep_from_caches, NULL, NULL, APR_HOOK_LAST);
}
