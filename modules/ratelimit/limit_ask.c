#include "limit_ask.h"
#include "limit_headers.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_ratelimit);

/* ------------------------------------------------------------------ which limits */

/* Limits of a tier are never early: the tier is not known then. */
static aigw_limit_point_e point_of(const aigw_limit_t *limit, const aigw_limit_said_t *said)
{
    const unsigned by = aigw_limit_by(said);

    if (limit->what != AIGW_LIMIT_REQUESTS || (by & AIGW_LIMIT_BY_MODEL)) {
        return AIGW_LIMIT_POINT_CALL;
    }
    return limit->section->tier || (by & ~(AIGW_LIMIT_BY_ADDRESS | AIGW_LIMIT_BY_HEADER)) ? AIGW_LIMIT_POINT_IDENTITY
                                                                                          : AIGW_LIMIT_POINT_ADDRESS;
}

/* Sections of one path have one counter: it is charged once, for the one that gives less. Returns 0 where it is there already. */
static int is_new(apr_array_header_t *charges, const aigw_limit_charge_t *charge)
{
    int i;

    for (i = 0; i < charges->nelts; i++) {
        aigw_limit_charge_t *other = &APR_ARRAY_IDX(charges, i, aigw_limit_charge_t);

        if (!memcmp(other->key, charge->key, AIGW_LIMIT_KEY)) {
            if (other->soft > charge->soft || (other->soft == charge->soft && charge->limit->rate.amount < other->limit->rate.amount)) {
                *other = *charge;
            }
            return 0;
        }
    }
    return 1;
}

/* around: for what the limits' own sections do not say; NULL: it is in them already. */
static void add_all(apr_array_header_t *charges, const aigw_limit_asker_t *asker, const aigw_limit_section_t *section,
                    const aigw_limit_said_t *around, aigw_limit_point_e point)
{
    int i;

    for (i = 0; section->limits && i < section->limits->nelts; i++) {
        const aigw_limit_member_t *member = &APR_ARRAY_IDX(section->limits, i, aigw_limit_member_t);
        aigw_limit_charge_t charge;

        memset(&charge, 0, sizeof charge);
        charge.limit = member->limit;
        charge.said = aigw_limit_said(member, around);
        if (point != AIGW_LIMIT_POINT_ANY && point_of(charge.limit, &charge.said) != point) {
            continue;
        }
        charge.cost = 1;
        charge.soft = charge.said.dry_run == 1;
        aigw_limit_key(charge.limit, aigw_limit_by(&charge.said), aigw_limit_who(&charge.said, asker, charges->pool), charge.key);
        if (is_new(charges, &charge)) {
            APR_ARRAY_PUSH(charges, aigw_limit_charge_t) = charge;
        }
    }
}

void aigw_limit_gather(apr_array_header_t *charges, const aigw_limit_asker_t *asker, const aigw_limit_section_t *around,
                       aigw_limit_point_e point)
{
    const ap_conf_vector_t *tier;
    const aigw_limit_section_t *section;
    aigw_limit_said_t said;

    add_all(charges, asker, around, NULL, point);
    if (point == AIGW_LIMIT_POINT_ADDRESS) {
        return;
    }
    tier = aigw_limit_core->tier_conf(asker->server, aigw_limit_core->tier_name(asker->server, &asker->context->identity));
    section = tier ? ap_get_module_config(tier, &aigw_ratelimit_module) : NULL;
    if (section && section->limits && !(asker->r && aigw_limit_exempt(asker->r, section))) {
        said = around->said;
        said.by = 0; /* whom a location counts is not for the tiers */
        add_all(charges, asker, section, &said, point);
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
