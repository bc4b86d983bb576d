#include "request.h"
#include "conf.h"
#include "aigw_decimal.h"
#include "aigw_names.h"
#include "aigw_request_id.h"
#include "aigw_traceparent.h"

#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

#include <sys/random.h>

APLOG_USE_MODULE(aigw);

#define TIMING_NAME  16  /* bytes of the longest name in Server-Timing, and more */
#define RANDOM_STORE 240 /* bytes, at most what getrandom() gives whole whatever happens (256) */

static ap_filter_rec_t *headers_filter;

/* The kernel's, for some requests at once: httpd's own generator works out SHA-256, under a lock, for ten times as long. A thread has its own, made in the child,
 * so no two processes have the same. */
static void random_bytes(void *to, apr_size_t n)
{
    static __thread unsigned char store[RANDOM_STORE];
    static __thread apr_size_t left;

    if (left < n) {
        if (getrandom(store, sizeof store, GRND_NONBLOCK) != (ssize_t)sizeof store) {
            ap_random_insecure_bytes(to, n);
            return;
        }
        left = sizeof store;
    }
    memcpy(to, store + sizeof store - left, n);
    left -= n;
}

static void make_ids(aigw_request_t *ctx, request_rec *r)
{
    const char *given = apr_table_get(r->headers_in, "X-Request-ID");
    unsigned char bytes[40];
    aigw_traceparent_t trace;

    random_bytes(bytes, sizeof bytes);
    ctx->id = aigw_request_id_valid(given) ? given : aigw_request_id_format(r->pool, bytes);
    aigw_traceparent_continue(&trace, apr_table_get(r->headers_in, "traceparent"), bytes + 16);
    ctx->traceparent = aigw_traceparent_format(r->pool, &trace);
    ctx->trace_id = apr_pstrdup(r->pool, trace.trace_id);
}

/* Internal redirects (an ErrorDocument, a rewrite) and sub-requests are one request to the client. */
static request_rec *initial(request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    return r;
}

aigw_request_t *aigw_request_peek(request_rec *r)
{
    r = initial(r);
    return r->request_config ? ap_get_module_config(r->request_config, &aigw_module) : NULL;
}

/* httpd knows when by the wall clock. */
static apr_time_t when_read(const request_rec *r)
{
    apr_time_t now = aigw_clock_now(), ago = r->request_time ? apr_time_now() - r->request_time : 0;

    return ago > 0 && ago < now ? now - ago : now;
}

aigw_request_t *aigw_request_get(request_rec *r)
{
    aigw_request_t *ctx = aigw_request_peek(r);
    request_rec *first = initial(r);

    if (!ctx) {
        ctx = apr_pcalloc(first->pool, sizeof *ctx);
        ctx->began = when_read(first);
        ctx->auth_time = ctx->limit_time = ctx->upstream_time = -1;
        ctx->prompt_tokens = ctx->completion_tokens = -1;
        make_ids(ctx, first);
        if (!first->log_id) {
            first->log_id = ctx->id; /* %L of the error log is then what the client sees */
        }
        ap_set_module_config(first->request_config, &aigw_module, ctx);
    }
    ctx->address = first->useragent_ip; /* mod_remoteip may have changed it since */
    if (!apr_table_get(r->err_headers_out, "X-Request-ID")) {
        apr_table_setn(r->err_headers_out, "X-Request-ID", ctx->id);
    }
    return ctx;
}

int aigw_request_model_allowed(const aigw_request_t *context, const aigw_model_t *model)
{
    return aigw_names_allow(context->identity.models, model->name) && aigw_names_allow(context->location_models, model->name) &&
           aigw_names_allow(context->tier_models, model->name);
}

/* ------------------------------------------------------------------ response headers */

/* Behind what stands in the list already: "name;dur=12.345". */
static char *add_timing(char *list, char *at, const char *name, apr_interval_time_t t)
{
    if (t < 0) {
        return at;
    }
    at = apr_cpystrn(at, at > list ? ", " : "", 3);
    at = apr_cpystrn(at, name, TIMING_NAME);
    at = apr_cpystrn(at, ";dur=", 6);
    return aigw_decimal(at, t, 3);
}

static void set_timing(request_rec *r, const aigw_request_t *ctx)
{
    apr_interval_time_t t = ctx->first_byte - ctx->began;
    char took[AIGW_DECIMAL_MAX], list[4 * (TIMING_NAME + AIGW_DECIMAL_MAX + 8)], *at = list;

    aigw_decimal(took, t / 100, 4);
    apr_table_set(r->headers_out, "X-Process-Time", took);
    at = add_timing(list, at, "auth", ctx->auth_time);
    at = add_timing(list, at, "limit", ctx->limit_time);
    at = add_timing(list, at, "upstream", ctx->upstream_time);
    if (!ctx->streaming) {
        at = add_timing(list, at, "total", t);
    }
    if (at > list) {
        apr_table_merge(r->headers_out, "Server-Timing", list);
    }
}

/* X-Process-Time is the time to the first byte, so it is known only when the first brigade passes. */
static apr_status_t headers_out_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    aigw_request_t *ctx = aigw_request_peek(f->r);

    if (ctx && !ctx->first_byte) {
        ctx->first_byte = aigw_clock_now();
        set_timing(f->r, ctx);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

static void insert_headers_filter(request_rec *r)
{
    if (aigw_request_peek(r)) {
        ap_add_output_filter_handle(headers_filter, NULL, r, r->connection);
    }
}

/* ------------------------------------------------------------------ hooks */

static int post_read_request(request_rec *r)
{
    if (aigw_conf_errors(r->per_dir_config)) {
        aigw_request_get(r);
    }
    return DECLINED;
}

/* Where a location, not the server, has AIGWErrors on, and for our handlers. */
static int fixups(request_rec *r)
{
    if (!r->main && (aigw_conf_errors(r->per_dir_config) || (r->handler && !strncmp(r->handler, "aigw-", 5)))) {
        aigw_request_get(r);
    }
    return DECLINED;
}

static void env_number(request_rec *r, const char *name, apr_int64_t n)
{
    if (n >= 0) {
        apr_table_setn(r->subprocess_env, name, apr_psprintf(r->pool, "%" APR_INT64_T_FMT, n));
    }
}

static void env_text(request_rec *r, const char *name, const char *value)
{
    if (value) {
        apr_table_setn(r->subprocess_env, name, value);
    }
}

/* %{AIGW_...}e of mod_log_config; runs before its own hook. */
static int log_variables(request_rec *r)
{
    const aigw_request_t *ctx = aigw_request_peek(r);

    if (!ctx) {
        return DECLINED;
    }
    while (r->next) {
        r = r->next;
    }
    env_text(r, "AIGW_REQUEST_ID", ctx->id);
    env_text(r, "AIGW_TRACE_ID", ctx->trace_id);
    env_text(r, "AIGW_USER", ctx->identity.user);
    env_text(r, "AIGW_MODEL", ctx->model);
    env_text(r, "AIGW_UPSTREAM", ctx->upstream);
    env_text(r, "AIGW_FINISH", ctx->finish_reason);
    env_text(r, "AIGW_MODE", ctx->mode);
    env_text(r, "AIGW_ERROR", ctx->error ? ctx->error->code ? ctx->error->code : "error" : NULL);
    env_number(r, "AIGW_PROMPT_TOKENS", ctx->prompt_tokens);
    env_number(r, "AIGW_COMPLETION_TOKENS", ctx->completion_tokens);
    if (ctx->first_byte) {
        env_number(r, "AIGW_TTFT_MS", (ctx->first_byte - ctx->began) / 1000);
    }
    return DECLINED;
}

void aigw_request_register(apr_pool_t *p)
{
    headers_filter = ap_register_output_filter("AIGW_HEADERS", headers_out_filter, NULL, AP_FTYPE_CONTENT_SET);
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_insert_filter(insert_headers_filter, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(insert_headers_filter, NULL, NULL, APR_HOOK_LAST);
    ap_hook_log_transaction(log_variables, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
