#include "error.h"
#include "conf.h"
#include "request.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>
#include <jansson.h>

APLOG_USE_MODULE(aigw);

static ap_filter_rec_t *error_filter;

/* What an error without a text or code of its own is called: httpd's errors, and upstreams' that say nothing. */
static const struct {
    int status;
    const char *type, *code, *message;
} known[] = {
    {400, "invalid_request_error", "bad_request", "The request could not be understood."},
    {401, "authentication_error", "missing_api_key", "Authentication is required to use this resource."},
    {403, "permission_error", NULL, "You are not allowed to use this resource."},
    {404, "invalid_request_error", "not_found", "There is nothing at this address."},
    {405, "invalid_request_error", "method_not_allowed", "This method is not allowed here; see the Allow header."},
    {408, "invalid_request_error", "request_timeout", "The request did not arrive in time."},
    {409, "invalid_request_error", "idempotency_in_flight", "A request with this key is being answered."},
    {410, "invalid_request_error", "gone", "This resource is gone."},
    {413, "invalid_request_error", "request_too_large", "The request body is too large."},
    {414, "invalid_request_error", "uri_too_long", "The request's address is too long."},
    {415, "invalid_request_error", "unsupported_media_type", "This content type is not supported; send application/json."},
    {422, "invalid_request_error", "idempotency_mismatch", "This key was used with another body."},
    {426, "invalid_request_error", "upgrade_required", "An upgrade of the protocol is required."},
    {429, "rate_limit_error", "rate_limit_exceeded", "Too many requests."},
    {431, "invalid_request_error", "headers_too_large", "The request's header fields are too large."},
    {500, "server_error", "internal_error", "The gateway failed on this request."},
    {502, "upstream_error", "upstream_invalid_response", "The model server's answer could not be used."},
    {503, "server_error", "no_upstream_available", "The service is not available at the moment."},
    {504, "upstream_error", "upstream_timeout", "The model server did not answer in time."},
};

static int known_index(int status)
{
    int i, fallback = 0;

    for (i = 0; i < (int)(sizeof known / sizeof known[0]); i++) {
        if (known[i].status == status) {
            return i;
        }
        if (known[i].status == (status < 500 ? 400 : 500)) {
            fallback = i;
        }
    }
    return fallback;
}

static const char *type_of(const aigw_error_t *error)
{
    return error->type ? error->type : known[known_index(error->status)].type;
}

const char *aigw_error_usual_code(int status)
{
    int i = known_index(status);

    return known[i].status == status ? known[i].code : NULL;
}

aigw_error_t *aigw_error_make(apr_pool_t *p, int status, const char *code, const char *param, const char *fmt, ...)
{
    aigw_error_t *error = apr_pcalloc(p, sizeof *error);
    va_list args;

    va_start(args, fmt);
    error->message = apr_pvsprintf(p, fmt, args);
    va_end(args);
    error->status = status;
    error->code = code;
    error->param = param;
    return error;
}

aigw_error_t *aigw_error_copy(apr_pool_t *p, const aigw_error_t *from)
{
    aigw_error_t *error = apr_pmemdup(p, from, sizeof *from);

    error->type = apr_pstrdup(p, from->type);
    error->code = apr_pstrdup(p, from->code);
    error->param = apr_pstrdup(p, from->param);
    error->message = apr_pstrdup(p, from->message);
    error->retry_after_as_is = apr_pstrdup(p, from->retry_after_as_is);
    return error;
}

/* A JSON string or null. What an upstream or a client sent may not be UTF-8: then say at least that there was something. */
static json_t *text(const char *s)
{
    json_t *j = s ? json_string(s) : json_null();

    return j ? j : json_string("(text that is not UTF-8)");
}

char *aigw_error_json(apr_pool_t *p, const aigw_error_t *error)
{
    json_t *root = json_pack("{s:{s:o,s:o,s:o,s:o}}", "error", "message", text(error->message), "type", text(type_of(error)), "param",
                             text(error->param), "code", text(error->code));
    char *dump = root ? json_dumps(root, JSON_COMPACT) : NULL;
    char *out =
        dump ? apr_pstrdup(p, dump)
             : apr_pstrdup(
                   p, "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\",\"param\":null,\"code\":\"internal_error\"}}");

    free(dump);
    json_decref(root);
    return out;
}

/* The headers that go with an error. */
static void error_headers(request_rec *r, apr_table_t *headers, const aigw_error_t *error)
{
    if (error->retry_after_as_is) {
        apr_table_setn(headers, "Retry-After", error->retry_after_as_is);
    }
    else if (error->retry_after > 0) {
        apr_int64_t ms = (error->retry_after + 999) / 1000;
        apr_table_setn(headers, "Retry-After", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (ms + 999) / 1000));
        apr_table_setn(headers, "retry-after-ms", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, ms));
    }
    if (error->no_retry) {
        apr_table_setn(headers, "x-should-retry", "false");
    }
    if (error->status == HTTP_UNAUTHORIZED && !apr_table_get(headers, "WWW-Authenticate") &&
        !apr_table_get(r->err_headers_out, "WWW-Authenticate")) {
        apr_table_setn(headers, "WWW-Authenticate", "Bearer");
    }
}

/* Was a body announced that nobody has read? Then the next request on this connection would be read out of it. */
static int body_unread(request_rec *r)
{
    return ap_request_has_body(r) && !apr_table_get(r->notes, "aigw-body-read");
}

/* httpd answers 500 for a status that it does not know, such as an upstream's 529, unless it is given the whole line. NULL: httpd's own will do. */
static const char *status_line(apr_pool_t *p, int status)
{
    return atoi(ap_get_status_line(status)) == status ? NULL : apr_psprintf(p, "%d Status %d", status, status);
}

int aigw_error_send(request_rec *r, const aigw_error_t *given)
{
    const aigw_error_t *error = aigw_error_copy(r->pool, given);
    char *body = apr_pstrcat(r->pool, aigw_error_json(r->pool, error), "\n", NULL);
    aigw_request_t *ctx = aigw_request_get(r);

    if (r->eos_sent && ctx->error) {
        return OK; /* httpd has answered already: a broken chunk, a body over LimitRequestBody */
    }
    ctx->error = error;
    if (r->eos_sent) {
        return OK;
    }
    r->status = error->status;
    r->status_line = status_line(r->pool, error->status);
    r->no_local_copy = 1;
    error_headers(r, r->err_headers_out, error);
    if (body_unread(r)) {
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    ap_set_content_type(r, "application/json");
    apr_table_unset(r->headers_out, "Content-Encoding");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_length(r, (apr_off_t)strlen(body));
    if (!r->header_only) {
        ap_rputs(body, r);
    }
    return OK;
}

/* ------------------------------------------------------------------ httpd's own errors */

/* Our words for an error that httpd, or a module that knows nothing of us, answers with. */
static const aigw_error_t *error_of_httpd(request_rec *r)
{
    aigw_request_t *ctx = aigw_request_peek(r); /* made when this filter was put in; httpd has swapped the header tables since */
    aigw_error_t *error;
    int i;

    if (ctx->error && ctx->error->status == r->status) {
        return ctx->error;
    }
    i = known_index(r->status);
    error = apr_pcalloc(r->pool, sizeof *error);
    error->status = r->status;
    error->code = aigw_error_usual_code(r->status);
    error->message = known[i].status == r->status ? known[i].message : ap_get_status_line(r->status) + 4;
    ctx->error = error;
    return error;
}

/* Takes httpd's HTML out and puts the JSON in its place, once. */
static apr_status_t error_out_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const char *body;

    if (!f->ctx) {
        apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
        apr_bucket_brigade *out = apr_brigade_create(r->pool, alloc);
        const aigw_error_t *error = error_of_httpd(r);

        f->ctx = out;
        body = apr_pstrcat(r->pool, aigw_error_json(r->pool, error), "\n", NULL);
        error_headers(r, r->headers_out, error);
        ap_set_content_type_ex(r, "application/json", 1);
        apr_table_setn(r->headers_out, "Cache-Control", "no-store");
        apr_table_unset(r->headers_out, "Content-Encoding");
        ap_set_content_length(r, (apr_off_t)strlen(body));
        APR_BRIGADE_INSERT_TAIL(out, apr_bucket_pool_create(body, strlen(body), r->pool, alloc));
        APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(alloc));
        apr_brigade_cleanup(bb);
        return ap_pass_brigade(f->next, out);
    }
    /* the rest of the page that we replaced; an EOR or EOC bucket must go on */
    while (!APR_BRIGADE_EMPTY(bb) && (!APR_BUCKET_IS_METADATA(APR_BRIGADE_FIRST(bb)) || APR_BUCKET_IS_EOS(APR_BRIGADE_FIRST(bb)))) {
        apr_bucket_delete(APR_BRIGADE_FIRST(bb));
    }
    return APR_BRIGADE_EMPTY(bb) ? APR_SUCCESS : ap_pass_brigade(f->next, bb);
}

/* httpd answers 400 where a header field is too large or there are too many; what it means is in a note, and 431 (RFC 6585). */
static void tell_headers_too_large(request_rec *r)
{
    const char *note = r->status == HTTP_BAD_REQUEST ? apr_table_get(r->notes, "error-notes") : NULL;

    if (note && (!strncmp(note, "Size of a request header field", 30) || !strncmp(note, "The number of request header fields", 35))) {
        r->status = HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
        r->status_line = NULL;
    }
}

/* Our shape: where AIGWErrors says so for the location (or did, before httpd lost it on the way to an error), while we read a body, and for errors of ours. */
static int is_ours(request_rec *r)
{
    const aigw_request_t *ctx = aigw_request_peek(r);

    return aigw_conf_errors(r->per_dir_config) || apr_table_get(r->notes, "aigw-errors") ||
           (ctx && ctx->error && ctx->error->status == r->status);
}

/* The location is known here for the first time; the directory walk after it may fail and forget it. */
static int remember_location(request_rec *r)
{
    if (aigw_conf_errors(r->per_dir_config)) {
        apr_table_setn(r->notes, "aigw-errors", "1");
    }
    return DECLINED;
}

static void insert_error_filter(request_rec *r)
{
    if (r->status < 400 || !is_ours(r)) {
        return;
    }
    tell_headers_too_large(r);
    if (!r->status_line) {
        r->status_line = status_line(r->pool, r->status);
    }
    aigw_request_get(r); /* a broken request line gets its ID here */
    ap_add_output_filter_handle(error_filter, NULL, r, r->connection);
}

void aigw_error_register(apr_pool_t *p)
{
    error_filter = ap_register_output_filter("AIGW_ERROR", error_out_filter, NULL, AP_FTYPE_CONTENT_SET);
    ap_hook_translate_name(remember_location, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_error_filter(insert_error_filter, NULL, NULL, APR_HOOK_MIDDLE);
}
