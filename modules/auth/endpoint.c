#include "endpoint.h"
#include "auth.h"

#include <http_protocol.h>
#include <apr_strings.h>

#include <stdlib.h>

int aigw_endpoint_is(const request_rec *r, const char *handler)
{
    return r->handler && !strcmp(r->handler, handler);
}

int aigw_endpoint_error(request_rec *r, int status, const char *code, const char *param, const char *message)
{
    return aigw_auth_core->error_send(r, aigw_auth_core->error_make(r->pool, status, code, param, "%s", message));
}

int aigw_endpoint_refused(request_rec *r, int get, int *rc)
{
    const char *allow = get ? "GET, HEAD" : "POST";

    if (r->method_number == (get ? M_GET : M_POST)) { /* HEAD is M_GET with header_only */
        return 0;
    }
    apr_table_setn(r->err_headers_out, "Allow", allow);
    *rc = aigw_endpoint_error(r, HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", NULL,
                              apr_psprintf(r->pool, "This address takes %s only.", allow));
    return 1;
}

char *aigw_endpoint_text(request_rec *r, json_t *json)
{
    char *dump = json ? json_dumps(json, JSON_COMPACT) : NULL, *text = dump ? apr_pstrcat(r->pool, dump, "\n", NULL) : NULL;

    free(dump);
    json_decref(json);
    return text;
}

int aigw_endpoint_answer(request_rec *r, const char *text)
{
    if (!text) {
        return aigw_endpoint_error(r, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
    }
    r->status = HTTP_OK;
    r->status_line = NULL;
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "Pragma", "no-cache"); /* RFC 6749, section 5.1 */
    ap_rputs(text, r);
    return OK;
}
