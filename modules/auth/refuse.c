#include "refuse.h"
#include "auth.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#define NOTE_FORBIDDEN "aigw-forbidden"
#define NOTE_CODE      "aigw-forbidden-code"
#define NOTE_MESSAGE   "aigw-forbidden-message"

/* AuthName as a quoted-string (RFC 9110, section 5.6.4). */
static const char *realm(request_rec *r)
{
    const char *name = ap_auth_name(r);

    return apr_psprintf(r->pool, "realm=\"%s\"", ap_escape_quotes(r->pool, name ? name : "aigw"));
}

static void challenge(request_rec *r, const char *error, const char *description)
{
    apr_table_setn(r->err_headers_out, "WWW-Authenticate",
                   error ? apr_psprintf(r->pool, "Bearer %s, error=\"%s\", error_description=\"%s\"", realm(r), error, description)
                         : apr_pstrcat(r->pool, "Bearer ", realm(r), NULL));
}

static int refuse(request_rec *r, int status, const char *code, const char *message)
{
    aigw_auth_core->request(r)->error = aigw_auth_core->error_make(r->pool, status, code, NULL, "%s", message);
    return status;
}

int aigw_refuse_credential(request_rec *r, const char *code, const char *message)
{
    challenge(r, "invalid_token", message);
    return refuse(r, HTTP_UNAUTHORIZED, code, message);
}

int aigw_refuse_unavailable(request_rec *r, const char *message)
{
    apr_table_setn(r->err_headers_out, "Retry-After", "5");
    return refuse(r, HTTP_SERVICE_UNAVAILABLE, "store_unavailable", message);
}

int aigw_refuse_anonymous(request_rec *r)
{
    challenge(r, NULL, NULL);
    return refuse(r, HTTP_UNAUTHORIZED, "missing_api_key",
                  "You did not provide an API key. Send it in an Authorization header: Authorization: Bearer YOUR_KEY.");
}

int aigw_refuse_multiple(request_rec *r)
{
    return refuse(r, HTTP_BAD_REQUEST, "multiple_credentials",
                  "The request has several credentials that differ. Send one, in Authorization, X-API-Key or api-key.");
}

void aigw_refuse_note(request_rec *r, const char *code, const char *message)
{
    if (code) {
        apr_table_setn(r->notes, NOTE_CODE, code);
    }
    apr_table_setn(r->notes, NOTE_MESSAGE, message);
}

/* ------------------------------------------------------------------ 403, not 401, for somebody who is known */

/* mod_authz_core says 401 wherever a Require fails after authentication, and calls this before. With a bearer token another try is of no use. */
static int note_auth_failure(request_rec *r, const char *type)
{
    if (ap_cstr_casecmp(type, AIGW_AUTH_TYPE)) {
        return DECLINED;
    }
    if (aigw_auth_core->request(r)->identity.user) {
        apr_table_setn(r->notes, NOTE_FORBIDDEN, "1");
    }
    else if (!apr_table_get(r->err_headers_out, "WWW-Authenticate")) {
        challenge(r, NULL, NULL);
    }
    return OK;
}

static void forbid(request_rec *r)
{
    const char *code = apr_table_get(r->notes, NOTE_CODE), *message = apr_table_get(r->notes, NOTE_MESSAGE);

    if (r->status == HTTP_UNAUTHORIZED && apr_table_get(r->notes, NOTE_FORBIDDEN)) {
        r->status = HTTP_FORBIDDEN;
        r->status_line = NULL;
        refuse(r, HTTP_FORBIDDEN, code, message ? message : "You are not allowed to use this resource.");
        if (code && !strcmp(code, "insufficient_scope")) {
            challenge(r, "insufficient_scope", message);
        }
        else {
            apr_table_unset(r->err_headers_out, "WWW-Authenticate");
        }
    }
}

void aigw_refuse_register(apr_pool_t *p)
{
    ap_hook_note_auth_failure(note_auth_failure, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(forbid, NULL, NULL, APR_HOOK_FIRST);
}
