#include "limit_request.h"
#include "limit_headers.h"
#include "limit_who.h"
#include "aigw_clock.h"

#include <http_log.h>
#include <http_request.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_ratelimit);

/* Of an initial request, in its pool: what was charged so far, of all points. */
typedef struct charged_t {
    apr_array_header_t *charges; /* aigw_limit_charge_t */
} charged_t;

static charged_t *charged_of(request_rec *r)
{
    charged_t *charged = ap_get_module_config(r->request_config, &aigw_ratelimit_module);

    if (!charged) {
        charged = apr_palloc(r->pool, sizeof *charged);
        charged->charges = apr_array_make(r->pool, 4, sizeof(aigw_limit_charge_t));
        ap_set_module_config(r->request_config, &aigw_ratelimit_module, charged);
    }
    return charged;
}

/* ------------------------------------------------------------------ which limits */

/* The point at which a limit of requests is asked. */
static int is_early(unsigned by)
{
    return !(by & ~(AIGW_LIMIT_BY_ADDRESS | AIGW_LIMIT_BY_HEADER));
}

static void add(apr_array_header_t *charges, request_rec *r, const aigw_limit_t *limit, const aigw_limit_section_t *around,
                const aigw_identity_t *identity)
{
    aigw_limit_charge_t *charge = apr_array_push(charges);

    memset(charge, 0, sizeof *charge);
    charge->limit = limit;
    charge->cost = 1;
    aigw_limit_key(limit, aigw_limit_who(limit, around, r, identity, r->pool), charge->key);
}

static void gather(apr_array_header_t *charges, request_rec *r, const aigw_limit_section_t *around, const aigw_identity_t *identity,
                   int early)
{
    int i;

    for (i = 0; around->limits && i < around->limits->nelts; i++) {
        const aigw_limit_t *limit = APR_ARRAY_IDX(around->limits, i, const aigw_limit_t *);

        if (is_early(aigw_limit_by(limit->section, around)) == early) {
            add(charges, r, limit, around, identity);
        }
    }
}

/* What a location says of whom it counts is not for the tiers. */
static void gather_tier(apr_array_header_t *charges, request_rec *r, const aigw_identity_t *identity)
{
    const ap_conf_vector_t *tier = aigw_limit_core->tier_conf(r->server, aigw_limit_core->tier_name(r->server, identity));
    const aigw_limit_section_t *section = tier ? ap_get_module_config(tier, &aigw_ratelimit_module) : NULL;
    int i;

    for (i = 0; section && section->limits && i < section->limits->nelts; i++) {
        add(charges, r, APR_ARRAY_IDX(section->limits, i, const aigw_limit_t *), NULL, identity);
    }
}

static int is_exempt(request_rec *r, const aigw_limit_section_t *section)
{
    const char *why = NULL;
    int i;

    for (i = 0; section->exempt && i < section->exempt->nelts; i++) {
        if (ap_expr_exec(r, APR_ARRAY_IDX(section->exempt, i, ap_expr_info_t *), &why) > 0 && !why) {
            return 1;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------ one point */

static int refuse(request_rec *r, const aigw_limit_charge_t *refused)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0420: refused: the limit of %s %s", aigw_limit_what_name(refused->limit->what),
                  aigw_rate_format(r->pool, &refused->limit->rate));
    aigw_limit_core->request(r)->error = aigw_limit_refusal(r->pool, refused);
    return HTTP_TOO_MANY_REQUESTS;
}

static int decide(request_rec *r, const aigw_limit_section_t *section, charged_t *charged, apr_array_header_t *asked)
{
    aigw_limit_charge_t *charges = (aigw_limit_charge_t *)asked->elts;
    int refused;

    switch (aigw_limit_store_decide(charges, asked->nelts, 0, &refused)) {
    case AIGW_LIMIT_YES:
        apr_array_cat(charged->charges, asked);
        aigw_limit_headers_set(r, (const aigw_limit_charge_t *)charged->charges->elts, charged->charges->nelts);
        return OK;
    case AIGW_LIMIT_NO:
        if (section->dry_run == 1) {
            ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "AIGW0421: dry run: this would be refused by the limit of %s %s",
                          aigw_limit_what_name(charges[refused].limit->what), aigw_rate_format(r->pool, &charges[refused].limit->rate));
            return OK;
        }
        aigw_limit_store_refund((aigw_limit_charge_t *)charged->charges->elts, charged->charges->nelts);
        aigw_limit_headers_set(r, charges, asked->nelts);
        return refuse(r, &charges[refused]);
    default:
        aigw_limit_core->request(r)->error = aigw_limit_core->error_make(r->pool, HTTP_SERVICE_UNAVAILABLE, "store_unavailable", NULL,
                                                                         "Limits cannot be looked up now. Try again in a moment.");
        return HTTP_SERVICE_UNAVAILABLE;
    }
}

static int limit(request_rec *r, int early)
{
    const aigw_limit_section_t *around = ap_get_module_config(r->per_dir_config, &aigw_ratelimit_module);
    const aigw_identity_t *identity;
    apr_array_header_t *asked;
    apr_time_t began;
    aigw_request_t *context;
    int rc;

    /* where nothing of ours is, nothing of ours is to be seen: the context sets X-Request-ID */
    if (!ap_is_initial_req(r) || (!around->limits && (early || !(r->user || (r->handler && !strncmp(r->handler, "aigw-", 5)))))) {
        return OK;
    }
    began = aigw_clock_now();
    context = aigw_limit_core->request(r);
    identity = &context->identity;
    asked = apr_array_make(r->pool, 4, sizeof(aigw_limit_charge_t));
    gather(asked, r, around, identity, early);
    if (!early) {
        gather_tier(asked, r, identity);
    }
    if (!asked->nelts || is_exempt(r, around)) {
        return OK;
    }
    rc = decide(r, around, charged_of(r), asked);
    context->limit_time = (context->limit_time > 0 ? context->limit_time : 0) + aigw_clock_now() - began;
    return rc;
}

/* ------------------------------------------------------------------ hooks */

static int by_address(request_rec *r)
{
    int rc = limit(r, 1);

    return rc == OK ? DECLINED : rc; /* nobody is let in by this */
}

static int by_identity(request_rec *r)
{
    int rc = limit(r, 0);

    return rc == OK ? DECLINED : rc;
}

void aigw_limit_request_register(apr_pool_t *p)
{
    /* not access_checker, whose refusal "Satisfy Any" passes over. Behind the preflights of CORS (LAST), which cost nothing */
    ap_hook_header_parser(by_address, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_fixups(by_identity, NULL, NULL, APR_HOOK_MIDDLE);
}
