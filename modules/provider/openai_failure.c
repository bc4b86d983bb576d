#include "openai_failure.h"
#include "../core/conf.h"
#include "../core/error.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

#define MESSAGE_MAX 4096

/* A string of the upstream's that a client may see: short, and without the gateway's own credential (some servers quote it). */
static int quotes_header(void *s, const char *name, const char *value)
{
    return strlen(value) < 8 || !strstr(s, value); /* 0 ends apr_table_do(): found */
}

static const char *presentable(aigw_call_t *call, const char *s)
{
    const aigw_upstream_t *up = call->model->upstream;

    if (!s || !*s || (up->key && strstr(s, up->key)) || (up->headers && !apr_table_do(quotes_header, (void *)s, up->headers, NULL))) {
        return NULL;
    }
    if (strlen(s) <= MESSAGE_MAX) {
        return s;
    }
    {
        apr_size_t n = MESSAGE_MAX;
        while (n && ((unsigned char)s[n] & 0xC0) == 0x80) {
            n--; /* not in the middle of a character */
        }
        return apr_pstrcat(call->pool, apr_pstrmemdup(call->pool, s, n), "...", NULL);
    }
}

const aigw_error_t *aigw_openai_error(aigw_call_t *call, int status, const aigw_completion_error_t *said)
{
    const char *message = presentable(call, said->message);
    aigw_error_t *error = call->first_event
                              ? aigw_error_make(call->pool, status, NULL, NULL, "The model server broke off its answer with an error.")
                              : aigw_error_make(call->pool, status, NULL, NULL, "The model server answered with status %d.", status);

    if (message) {
        error->message = message;
    }
    /* the type is ours, by the status: clients branch on it. What an upstream's own says stands in its code too */
    error->code = presentable(call, said->code);
    error->param = presentable(call, said->param);
    if (!error->code && status != 409 && status != 422) { /* ours for these speak of an Idempotency-Key, which this is not about */
        error->code = aigw_error_usual_code(status);
    }
    return error;
}

const aigw_error_t *aigw_openai_failure(void *baton, aigw_call_t *call, int status, const apr_table_t *headers, const char *data,
                                        apr_size_t len)
{
    const aigw_upstream_t *up = call->model->upstream;
    const char *retry = apr_table_get(headers, "Retry-After");
    aigw_completion_error_t said = {NULL, NULL, NULL};
    aigw_json_scan_t scan;
    aigw_error_t *error;

    if (status == 401 || status == 403) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server,
                     "AIGW0182: [%s] model %s: upstream %s refused the gateway's own credential (%d, key from %s): check it",
                     call->context->id, call->model->name, up->url, status, up->key_source ? up->key_source : "nowhere: add key=env:NAME");
        return aigw_error_make(call->pool, 502, "upstream_auth_failed", NULL,
                               "The gateway is not allowed to use the model server at the moment.");
    }
    ap_log_error(APLOG_MARK, status >= 500 ? APLOG_WARNING : APLOG_INFO, 0, call->server,
                 "AIGW0183: [%s] model %s: upstream %s answered with status %d", call->context->id, call->model->name, up->url, status);
    if (status < 400 || status > 599) {
        return aigw_error_make(call->pool, 502, "upstream_invalid_response", NULL, "The model server's answer could not be used.");
    }
    if (aigw_json_check(&scan, data, len) == APR_SUCCESS) {
        aigw_completion_failure(&scan, call->pool, &said);
    }
    error = (aigw_error_t *)aigw_openai_error(call, status, &said);
    if (retry && strlen(retry) < 64) {
        error->retry_after_as_is = apr_pstrdup(call->pool, retry);
    }
    return error;
}
