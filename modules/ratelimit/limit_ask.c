#include "limit_ask.h"
#include "limit_headers.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_ratelimit);

/* ------------------------------------------------------------------ which limits */

/* Limits of a tier are never early: the tier is not known then. */
static aigw_limit_point_e point_of(const aigw_limit_t *limit, const aigw_limit_section_t *around)
{
    const unsigned by = aigw_limit_by(limit->section, around);

    if (limit->what != AIGW_LIMIT_REQUESTS || (by & AIGW_LIMIT_BY_MODEL)) {
        return AIGW_LIMIT_POINT_CALL;
    }
    return !around || (by & ~(AIGW_LIMIT_BY_ADDRESS | AIGW_LIMIT_BY_HEADER)) ? AIGW_LIMIT_POINT_IDENTITY : AIGW_LIMIT_POINT_ADDRESS;
}

static int is_dry(const aigw_limit_section_t *own, const aigw_limit_section_t *around)
{
    return own->dry_run >= 0 ? own->dry_run : around->dry_run == 1;
}

/* What is written twice (two sections of one path) counts once: the one that holds is kept, of two such the tighter one. Returns 1 if that has taken care of it. */
static int is_twice(apr_array_header_t *charges, const aigw_limit_charge_t *charge)
{
    int i;

    for (i = 0; i < charges->nelts; i++) {
        aigw_limit_charge_t *other = &APR_ARRAY_IDX(charges, i, aigw_limit_charge_t);

        if (!memcmp(other->key, charge->key, AIGW_LIMIT_KEY)) {
            if (charge->soft != other->soft ? other->soft : charge->limit->rate.amount < other->limit->rate.amount) {
                *other = *charge;
            }
            return 1;
        }
    }
    return 0;
}

/* by: what says whom they count; NULL for a tier's, because what a location says of that is not for the tiers. */
static void add_all(apr_array_header_t *charges, const aigw_limit_asker_t *asker, const aigw_limit_section_t *section,
                    const aigw_limit_section_t *by, const aigw_limit_section_t *around, aigw_limit_point_e point)
{
    int i;

    for (i = 0; section->limits && i < section->limits->nelts; i++) {
        const aigw_limit_t *limit = APR_ARRAY_IDX(section->limits, i, const aigw_limit_t *);
        aigw_limit_charge_t charge = {.limit = limit, .cost = 1};

        if (point != AIGW_LIMIT_POINT_ANY && point_of(limit, by) != point) {
            continue;
        }
        charge.soft = is_dry(limit->section, around) ? 1 : 0;
        aigw_limit_key(limit, aigw_limit_who(limit, by, asker, charges->pool), charge.key);
        if (!is_twice(charges, &charge)) {
            APR_ARRAY_PUSH(charges, aigw_limit_charge_t) = charge;
        }
    }
}

void aigw_limit_gather(apr_array_header_t *charges, const aigw_limit_asker_t *asker, const aigw_limit_section_t *around,
                       aigw_limit_point_e point)
{
    const ap_conf_vector_t *tier;
    const aigw_limit_section_t *section;

    add_all(charges, asker, around, around, around, point);
    if (point == AIGW_LIMIT_POINT_ADDRESS) {
        return;
    }
    tier = aigw_limit_core->tier_conf(asker->server, aigw_limit_core->tier_name(asker->server, &asker->context->identity));
    section = tier ? ap_get_module_config(tier, &aigw_ratelimit_module) : NULL;
    if (section && section->limits && !(asker->r && aigw_limit_exempt(asker->r, section))) {
        add_all(charges, asker, section, NULL, around, point);
    }
}

int aigw_limit_exempt(request_rec *r, const aigw_limit_section_t *section)
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

/* ------------------------------------------------------------------ what becomes of the answer */

/* For the access log: which limit it was. */
static void note(const aigw_limit_asker_t *asker, const char *title)
{
    if (asker->r) {
        apr_table_set(asker->r->subprocess_env, "AIGW_LIMIT", title);
    }
}

/* What a dry run has let through. */
static void tell_over(const aigw_limit_charge_t *charges, int count, const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    int i;

    for (i = 0; i < count; i++) {
        if (charges[i].over) {
            const char *title = aigw_limit_title(p, charges[i].limit);

            note(asker, title);
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, asker->server, "AIGW0421: [%s] dry run: this would be refused by the limit of %s",
                         asker->context->id, title);
        }
    }
}

const aigw_error_t *aigw_limit_ask(aigw_limit_charge_t *charges, int count, int hold, const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    const char *title;
    int refused;

    switch (aigw_limit_store_decide(charges, count, hold, &refused)) {
    case AIGW_LIMIT_YES:
        tell_over(charges, count, asker, p);
        return NULL;
    case AIGW_LIMIT_NO:
        title = aigw_limit_title(p, charges[refused].limit);
        note(asker, title);
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, asker->server, "AIGW0420: [%s] refused: the limit of %s", asker->context->id, title);
        return aigw_limit_refusal(p, charges, count, refused);
    default:
        return aigw_limit_core->error_make(p, HTTP_SERVICE_UNAVAILABLE, "store_unavailable", NULL,
                                           "Limits cannot be looked up now. Try again in a moment.");
    }
}
