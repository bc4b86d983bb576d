#include "limit_request.h"
#include "limit_ask.h"
#include "limit_headers.h"
#include "aigw_clock.h"

#include <http_request.h>

apr_array_header_t *aigw_limit_request_charges(request_rec *r)
{
    apr_array_header_t *charges;

    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    charges = ap_get_module_config(r->request_config, &aigw_ratelimit_module);
    if (!charges) {
        charges = apr_array_make(r->pool, 4, sizeof(aigw_limit_charge_t));
        ap_set_module_config(r->request_config, &aigw_ratelimit_module, charges);
    }
    return charges;
}

void aigw_limit_request_refund(request_rec *r)
{
    apr_array_header_t *charges = aigw_limit_request_charges(r);

    aigw_limit_headers_returned((aigw_limit_charge_t *)charges->elts, charges->nelts);
    aigw_limit_store_refund((aigw_limit_charge_t *)charges->elts, charges->nelts);
}

/* ------------------------------------------------------------------ one point */

static int decide(request_rec *r, const aigw_limit_asker_t *asker, apr_array_header_t *asked)
{
    apr_array_header_t *charges = aigw_limit_request_charges(r);
    const aigw_error_t *error = aigw_limit_ask((aigw_limit_charge_t *)asked->elts, asked->nelts, 0, asker, r->pool);

    if (error) {
        aigw_limit_request_refund(r);
    }
    if (!error || error->status == HTTP_TOO_MANY_REQUESTS) {
        apr_array_cat(charges, asked);
        aigw_limit_headers_set(r, (const aigw_limit_charge_t *)charges->elts, charges->nelts);
    }
    if (error) {
        aigw_limit_core->request(r)->error = error;
        return error->status;
    }
    return OK;
}

/* A request that the configuration sends elsewhere (RewriteRule in a directory, FallbackResource) is asked there for what it was not yet. A page that ErrorDocument names costs nothing. */
static int is_asked(const request_rec *r)
{
    return !r->main && (!r->prev || r->prev->status == HTTP_OK);
}

/* Leaves out what this request has been charged before it was sent here. */
static void leave_out(apr_array_header_t *asked, const apr_array_header_t *charges)
{
    aigw_limit_charge_t *all = (aigw_limit_charge_t *)asked->elts;
    int i, k, kept = 0;

    for (i = 0; i < asked->nelts; i++) {
        for (k = 0; k < charges->nelts && memcmp(APR_ARRAY_IDX(charges, k, aigw_limit_charge_t).key, all[i].key, AIGW_LIMIT_KEY); k++) {
        }
        if (k == charges->nelts) {
            all[kept++] = all[i];
        }
    }
    asked->nelts = kept;
}

static int limit(request_rec *r, aigw_limit_point_e point)
{
    const aigw_limit_section_t *around = ap_get_module_config(r->per_dir_config, &aigw_ratelimit_module);
    const int early = point == AIGW_LIMIT_POINT_ADDRESS;
    aigw_limit_asker_t asker = {r->server, r, NULL, NULL};
    apr_array_header_t *asked;
    apr_time_t began;
    aigw_request_t *context;
    int rc;

    /* where nothing of ours is, nothing of ours is to be seen: the context sets X-Request-ID */
    if (!is_asked(r) || (!around->limits && (early || !(r->user || (r->handler && !strncmp(r->handler, "aigw-", 5)))))) {
        return OK;
    }
    began = aigw_clock_now();
    asker.context = context = aigw_limit_core->request(r);
    asked = apr_array_make(r->pool, 4, sizeof(aigw_limit_charge_t));
    aigw_limit_gather(asked, &asker, around, point);
    leave_out(asked, aigw_limit_request_charges(r));
    if (!asked->nelts || aigw_limit_exempt(r, around)) {
        return OK;
    }
    rc = decide(r, &asker, asked);
    context->limit_time = (context->limit_time > 0 ? context->limit_time : 0) + aigw_clock_now() - began;
    return rc;
}

/* ------------------------------------------------------------------ hooks */

static int by_address(request_rec *r)
{
    int rc = limit(r, AIGW_LIMIT_POINT_ADDRESS);

    return rc == OK ? DECLINED : rc; /* nobody is let in by this */
}

static int by_identity(request_rec *r)
{
    int rc = limit(r, AIGW_LIMIT_POINT_IDENTITY);

    return rc == OK ? DECLINED : rc;
}

void aigw_limit_request_register(apr_pool_t *p)
{
    /* not access_checker, whose refusal "Satisfy Any" passes over. Behind the preflights of CORS (LAST), which cost nothing */
    ap_hook_header_parser(by_address, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_fixups(by_identity, NULL, NULL, APR_HOOK_MIDDLE);
}
