#include "limit_me.h"
#include "limit_ask.h"
#include "aigw_limit.h"

static int by_model(const aigw_limit_charge_t *charge)
{
    return (aigw_limit_by(&charge->said) & AIGW_LIMIT_BY_MODEL) != 0;
}

/* What cannot be asked without a model goes to the end, and what is only tried out goes away. Returns how many can be asked. */
static int sort(apr_array_header_t *charges)
{
    aigw_limit_charge_t *all = (aigw_limit_charge_t *)charges->elts, swap;
    int i, n = 0, kept = 0;

    for (i = 0; i < charges->nelts; i++) {
        if (!all[i].soft) {
            all[kept] = all[i];
            all[kept++].cost = 0;
        }
    }
    charges->nelts = kept;
    for (i = 0; i < kept; i++) {
        if (!by_model(&all[i])) {
            swap = all[n];
            all[n++] = all[i];
            all[i] = swap;
        }
    }
    return n;
}

static json_t *one(const aigw_limit_charge_t *charge, int asked)
{
    json_t *limit = json_pack("{s:I}", "limit", (json_int_t)charge->limit->rate.amount);
    const int slots = charge->limit->what == AIGW_LIMIT_CONCURRENT;

    if (limit && !slots) {
        json_object_set_new(limit, "window_seconds", json_integer(apr_time_sec(charge->limit->rate.window)));
    }
    if (limit && asked) {
        json_object_set_new(limit, "remaining", json_integer(charge->left));
    }
    if (limit && asked && !slots) {
        json_object_set_new(limit, "reset_seconds", json_integer((charge->reset + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC));
    }
    if (limit && !asked) {
        json_object_set_new(limit, "per", json_string("model"));
    }
    return limit;
}

static json_t *tell(const aigw_limit_charge_t *charges, int count, int asked)
{
    json_t *root = json_object(), *list;
    int i;

    for (i = 0; root && i < count; i++) {
        const char *name = aigw_limit_what_name(charges[i].limit->what);

        list = json_object_get(root, name);
        if (!list) {
            list = json_array();
            json_object_set_new(root, name, list);
        }
        json_array_append_new(list, one(&charges[i], i < asked));
    }
    return root;
}

static json_t *aigw_limit_of(request_rec *r)
{
    const aigw_limit_section_t *around = ap_get_module_config(r->per_dir_config, &aigw_ratelimit_module);
    const aigw_limit_asker_t asker = {r->server, r, aigw_limit_core->request(r), NULL};
    apr_array_header_t *charges = apr_array_make(r->pool, 8, sizeof(aigw_limit_charge_t));
    int asked, refused;

    if (aigw_limit_exempt(r, around)) {
        return json_object();
    }
    aigw_limit_gather(charges, &asker, around, AIGW_LIMIT_POINT_ANY);
    asked = sort(charges);
    if (asked && aigw_limit_store_decide((aigw_limit_charge_t *)charges->elts, asked, 0, &refused) != AIGW_LIMIT_YES) {
        return json_object();
    }
    return tell((const aigw_limit_charge_t *)charges->elts, charges->nelts, asked);
}

void aigw_limit_me_register(void)
{
    APR_REGISTER_OPTIONAL_FN(aigw_limit_of);
}
