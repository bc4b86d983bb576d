#include "cors.h"
#include "auth.h"
#include "auth_conf.h"
#include "aigw_allow_headers.h"
#include "aigw_origin.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

/* What a request is answered with, in the notes of its request_rec: decided as soon as a location is known, for httpd forgets that on the way to some errors. */
#define NOTE_ORIGIN      "aigw-cors-origin" /* Access-Control-Allow-Origin; "": CORS holds, but not for this one; OFF. Absent: not decided */
#define NOTE_CREDENTIALS "aigw-cors-credentials"
#define OFF              "off"

#define ALLOWED_METHODS "GET, HEAD, POST, DELETE" /* what the endpoints of WIRE.md take */
#define MAX_AGE         "7200" /* seconds; Chromium believes no more. An origin that is taken out of the list is refused at once all the same */
#define EXPOSED                                                                                                                            \
    "X-Request-ID, Retry-After, retry-after-ms, x-should-retry, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "              \
    "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, X-RateLimit-Limit, "    \
    "X-RateLimit-Remaining, RateLimit, RateLimit-Policy, X-Process-Time, Server-Timing, Location, Deprecation, Sunset, Link"

#define SHOWN_ORIGIN 200 /* bytes of a foreign one in the log */

static ap_filter_rec_t *headers_filter;

/* ------------------------------------------------------------------ configuration */

/* The first one of the list that any website can send, or NULL. */
static const char *open_origin(const aigw_cors_t *conf)
{
    int i;

    for (i = 0; conf->origins && i < conf->origins->nelts; i++) {
        const aigw_origin_t *origin = &APR_ARRAY_IDX(conf->origins, i, aigw_origin_t);

        if (aigw_origin_is_open(origin)) {
            return origin->text;
        }
    }
    return NULL;
}

static const char *conflict(apr_pool_t *p, const aigw_cors_t *conf)
{
    const char *open = conf->credentials == AIGW_CORS_ON ? open_origin(conf) : NULL;

    return open ? apr_psprintf(p,
                               "AIGWCorsOrigin %s and AIGWCorsCredentials on: any website could then act in its visitors' names. "
                               "Name the origins, or write AIGWCorsCredentials off",
                               open)
                : NULL;
}

static const char *add_origin(aigw_cors_t *conf, const char *arg, apr_pool_t *p)
{
    const char *wrong;

    if (conf->origins && !conf->origins->nelts) {
        return "AIGWCorsOrigin: \"none\" cannot stand beside origins";
    }
    if (!conf->origins) {
        conf->origins = apr_array_make(p, 2, sizeof(aigw_origin_t));
    }
    if ((wrong = aigw_origin_read(apr_array_push(conf->origins), arg, p))) {
        return apr_pstrcat(p, "AIGWCorsOrigin: ", wrong, NULL);
    }
    if (conf->origins->nelts > 1 && (!strcmp(arg, "*") || APR_ARRAY_IDX(conf->origins, 0, aigw_origin_t).kind == AIGW_ORIGIN_ANY)) {
        return "AIGWCorsOrigin: * is every origin: write nothing beside it";
    }
    return conflict(p, conf);
}

const char *aigw_cors_add_origin(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_cors_t *conf = &((aigw_auth_dir_t *)dir)->cors;

    conf->origins_at = cmd->directive;
    if (strcasecmp(arg, "none")) {
        return add_origin(conf, arg, cmd->pool);
    }
    if (conf->origins && conf->origins->nelts) {
        return "AIGWCorsOrigin: \"none\" cannot stand beside origins";
    }
    conf->origins = apr_array_make(cmd->pool, 0, sizeof(aigw_origin_t));
    return NULL;
}

const char *aigw_cors_set_credentials(cmd_parms *cmd, void *dir, int on)
{
    aigw_cors_t *conf = &((aigw_auth_dir_t *)dir)->cors;

    conf->credentials = on ? AIGW_CORS_ON : AIGW_CORS_OFF;
    conf->credentials_at = cmd->directive;
    return conflict(cmd->pool, conf);
}

void aigw_cors_merge(aigw_cors_t *conf, const aigw_cors_t *outer)
{
    if (!conf->origins) {
        conf->origins = outer->origins;
        conf->origins_at = outer->origins_at;
    }
    if (conf->credentials == AIGW_CORS_NOT_SAID) {
        conf->credentials = outer->credentials;
        conf->credentials_at = outer->credentials_at;
    }
}

static int check_sections(const apr_array_header_t *sections, const aigw_cors_t *outer, server_rec *s, apr_pool_t *p);

/* A section and those inside it, as they hold where no other section does. 0, or the mistake has been logged. */
static int check_section(ap_conf_vector_t *section, const aigw_cors_t *outer, server_rec *s, apr_pool_t *p)
{
    const core_dir_config *core = ap_get_core_module_config(section);
    const aigw_auth_dir_t *dir = ap_get_module_config(section, &aigw_auth_module);
    aigw_cors_t conf = dir ? dir->cors : (aigw_cors_t){0};
    const ap_directive_t *a, *b;
    const char *wrong;

    aigw_cors_merge(&conf, outer);
    if ((wrong = conflict(p, &conf))) {
        a = conf.origins_at;
        b = conf.credentials_at;
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0341: %s:%d and %s:%d hold together: %s", a->filename, a->line_num, b->filename,
                     b->line_num, wrong);
        return 1;
    }
    return core && (check_sections(core->sec_file, &conf, s, p) || check_sections(core->sec_if, &conf, s, p));
}

static int check_sections(const apr_array_header_t *sections, const aigw_cors_t *outer, server_rec *s, apr_pool_t *p)
{
    int i;

    for (i = 0; sections && i < sections->nelts; i++) {
        if (check_section(APR_ARRAY_IDX(sections, i, ap_conf_vector_t *), outer, s, p)) {
            return 1;
        }
    }
    return 0;
}

/* What one section says and another takes for granted. Two that are not inside each other can still meet for some URL: then credentials are not allowed. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    static const aigw_cors_t nothing;

    for (; s; s = s->next) {
        const core_server_config *core = ap_get_core_module_config(s->module_config);
        const aigw_auth_dir_t *dir = ap_get_module_config(s->lookup_defaults, &aigw_auth_module);

        if (check_section(s->lookup_defaults, &nothing, s, ptemp) || check_sections(core->sec_dir, &dir->cors, s, ptemp) ||
            check_sections(core->sec_url, &dir->cors, s, ptemp)) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/* ------------------------------------------------------------------ what a request is answered with */

static void decide(request_rec *r)
{
    const aigw_cors_t *conf = &((const aigw_auth_dir_t *)ap_get_module_config(r->per_dir_config, &aigw_auth_module))->cors;
    const char *sent, *open;

    if (!conf->origins || !conf->origins->nelts) {
        if (conf->origins || apr_table_get(r->notes, NOTE_ORIGIN)) {
            apr_table_setn(r->notes, NOTE_ORIGIN, OFF);
        }
        return;
    }
    apr_table_unset(r->notes, NOTE_CREDENTIALS);
    sent = apr_table_get(r->headers_in, "Origin");
    if (!aigw_origins_have(conf->origins, sent)) {
        apr_table_setn(r->notes, NOTE_ORIGIN, "");
        return;
    }
    open = open_origin(conf);
    apr_table_setn(r->notes, NOTE_ORIGIN, open && *open == '*' ? "*" : sent);
    if (conf->credentials == AIGW_CORS_ON && !open) {
        apr_table_setn(r->notes, NOTE_CREDENTIALS, "1");
    }
}

/* 1 if pages of some other origin may come here. Then there is a note. */
static int holds(const request_rec *r)
{
    const char *note = apr_table_get(r->notes, NOTE_ORIGIN);

    return note && strcmp(note, OFF);
}

/* An ErrorDocument is the answer of the location that failed: that is what the page asked. */
static request_rec *asked(request_rec *r)
{
    while (r->prev && ap_is_HTTP_ERROR(r->prev->status)) {
        r = r->prev;
    }
    return r;
}

static int is_preflight(const request_rec *r)
{
    return r->method_number == M_OPTIONS && apr_table_get(r->headers_in, "Origin") &&
           apr_table_get(r->headers_in, "Access-Control-Request-Method");
}

/* ------------------------------------------------------------------ response headers */

static int has_token(apr_pool_t *p, apr_table_t *headers, const char *name, const char *token)
{
    const char *list = apr_table_getm(p, headers, name);

    return list && ap_find_token(p, list, token);
}

static void vary(request_rec *r, const char *on)
{
    if (!has_token(r->pool, r->headers_out, "Vary", on) && !has_token(r->pool, r->err_headers_out, "Vary", on)) {
        apr_table_mergen(r->headers_out, "Vary", on);
    }
}

/* Of whoever has made this answer, an upstream of mod_proxy's for one: two of a kind are none to a browser, and what is allowed is said in one place. */
static void take_out(request_rec *r)
{
    static const char *const names[] = {"Access-Control-Allow-Origin",          "Access-Control-Allow-Credentials",
                                        "Access-Control-Allow-Methods",         "Access-Control-Allow-Headers",
                                        "Access-Control-Expose-Headers",        "Access-Control-Max-Age",
                                        "Access-Control-Allow-Private-Network", NULL};
    int i;

    for (i = 0; names[i]; i++) {
        apr_table_unset(r->headers_out, names[i]);
        apr_table_unset(r->err_headers_out, names[i]);
    }
}

static void grant(request_rec *r, const request_rec *of, const char *origin)
{
    apr_table_t *out = r->headers_out;
    const char *fields;

    apr_table_setn(out, "Access-Control-Allow-Origin", origin);
    if (apr_table_get(of->notes, NOTE_CREDENTIALS)) {
        apr_table_setn(out, "Access-Control-Allow-Credentials", "true");
    }
    if (!is_preflight(of)) {
        apr_table_setn(out, "Access-Control-Expose-Headers", EXPOSED);
        return;
    }
    apr_table_setn(out, "Access-Control-Allow-Methods", ALLOWED_METHODS);
    apr_table_setn(out, "Access-Control-Max-Age", MAX_AGE);
    fields = aigw_allow_headers(r->pool, apr_table_get(of->headers_in, "Access-Control-Request-Headers"));
    if (fields) {
        apr_table_setn(out, "Access-Control-Allow-Headers", fields);
    }
}

/* A filter, because whatever makes the answer and whatever goes wrong before, the headers pass here, and those of others are known. In the thread that has the
 * request, which is the reactor where it is parked: it does not block. */
static apr_status_t headers_out_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r, *of = asked(r);
    const char *origin = apr_table_get(of->notes, NOTE_ORIGIN);

    take_out(r);
    vary(r, "Origin");
    if (is_preflight(of)) {
        vary(r, "Access-Control-Request-Method");
        vary(r, "Access-Control-Request-Headers");
    }
    if (origin && *origin) {
        grant(r, of, origin);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* Last, so that it runs behind mod_headers' filter, and before those of mod_cache, which must see Vary. */
static void insert_headers_filter(request_rec *r)
{
    request_rec *of = asked(r);

    if (r->main) {
        return;
    }
    if (!apr_table_get(of->notes, NOTE_ORIGIN)) { /* a broken request line, a header that is too large: the virtual host's */
        decide(of);
    }
    if (holds(of)) {
        ap_add_output_filter_handle(headers_filter, NULL, r, r->connection);
    }
}

/* ------------------------------------------------------------------ hooks */

/* The location is known here for the first time. httpd forgets it before it looks at what is escaped in the path, and again on a directory walk that fails. */
static int decide_early(request_rec *r)
{
    if (!r->main) {
        decide(r);
    }
    return DECLINED;
}

/* Now also <Directory> and what comes behind it. */
static int decide_finally(request_rec *r)
{
    decide(r);
    return DECLINED;
}

/* A preflight asks what may be asked: it carries no credential, and its answer tells nothing but the configuration of CORS. So it is not judged by those who judge
 * requests; behind it the request itself will be. */
static int answer_preflight(request_rec *r)
{
    if (!is_preflight(r) || !holds(r)) {
        return DECLINED;
    }
    aigw_auth_core->request(r); /* X-Request-ID */
    if (!*apr_table_get(r->notes, NOTE_ORIGIN)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0340: a preflight from %.*s, which is not in AIGWCorsOrigin here", SHOWN_ORIGIN,
                      apr_table_get(r->headers_in, "Origin"));
    }
    if (ap_request_has_body(r)) { /* nobody reads it: the next request would be read out of it */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    return HTTP_NO_CONTENT;
}

void aigw_cors_register(apr_pool_t *p)
{
    headers_filter = ap_register_output_filter("AIGW_CORS", headers_out_filter, NULL, AP_FTYPE_CONTENT_SET);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_pre_translate_name(decide_early, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(decide_early, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_header_parser(decide_finally, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_header_parser(answer_preflight, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_filter(insert_headers_filter, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_error_filter(insert_headers_filter, NULL, NULL, APR_HOOK_REALLY_LAST);
}
