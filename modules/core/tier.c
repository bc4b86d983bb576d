#include "tier.h"
#include "aigw.h"
#include "conf.h"

#include <ap_provider.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

typedef struct tier_t {
    const char *name;
    ap_conf_vector_t *conf;
} tier_t;

static const tier_t *find_in(const apr_array_header_t *tiers, const char *name)
{
    int i;

    for (i = 0; name && tiers && i < tiers->nelts; i++) {
        const tier_t *tier = APR_ARRAY_IDX(tiers, i, const tier_t *);

        if (!strcmp(tier->name, name)) {
            return tier;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ what may stand inside */

void aigw_tier_register(apr_pool_t *p)
{
    /* what a call may take; not what is the server's (AIGWPark), or must be known before anybody is (AIGWErrors) */
    static const char *const own[] = {"AIGWFirstByteTimeout", "AIGWIdleTimeout",    "AIGWTotalTimeout", "AIGWKeepAliveInterval",
                                      "AIGWStreamMaxTime",    "AIGWStreamMaxBytes", "AIGWMaxEventSize", "AIGWMaxAnswerSize"};
    apr_size_t i;

    for (i = 0; i < sizeof own / sizeof *own; i++) {
        ap_register_provider(p, AIGW_TIER_DIRECTIVE, own[i], "0", &aigw_module);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ap_list_provider_names_t *)a)->provider_name, ((const ap_list_provider_names_t *)b)->provider_name);
}

/* A directive that nobody looks for in a tier would seem to hold. One that no module knows is ap_walk_config()'s to refuse. */
static const char *check_inside(cmd_parms *cmd, const char *name)
{
    apr_array_header_t *known = ap_list_provider_names(cmd->temp_pool, AIGW_TIER_DIRECTIVE, "0");
    const ap_list_provider_names_t *one = (const ap_list_provider_names_t *)known->elts;
    const ap_directive_t *inside;
    const char *list = "";
    int i;

    for (inside = cmd->directive->first_child; inside; inside = inside->next) {
        module *any = ap_top_module;

        for (i = 0; i < known->nelts && ap_cstr_casecmp(one[i].provider_name, inside->directive); i++) {
        }
        if (i == known->nelts && ap_find_command_in_modules(inside->directive, &any)) {
            break;
        }
    }
    if (!inside) {
        return NULL;
    }
    qsort(known->elts, (size_t)known->nelts, sizeof *one, by_name);
    for (i = 0; i < known->nelts; i++) {
        list = apr_pstrcat(cmd->temp_pool, list, i ? ", " : "", one[i].provider_name, NULL);
    }
    cmd->err_directive = inside;
    return apr_psprintf(cmd->pool,
                        "%s%s cannot occur within <AIGWTier %s>, where it would have no effect: write it outside. Inside may stand %s",
                        inside->directive, *inside->directive == '<' ? ">" : "", name, list);
}

/* ------------------------------------------------------------------ the section */

/* What stands inside is read as in <Location>. */
static const char *read_inside(cmd_parms *cmd, tier_t *tier)
{
    const int override = cmd->override;
    char *const path = cmd->path;
    const char *err;

    cmd->override = OR_ALL | ACCESS_CONF;
    cmd->path = apr_pstrdup(cmd->pool, tier->name);
    tier->conf = ap_create_per_dir_config(cmd->pool);
    err = ap_walk_config(cmd->directive->first_child, cmd, tier->conf);
    cmd->path = path;
    cmd->override = override;
    return err;
}

const char *aigw_tier_section(cmd_parms *cmd, void *dir, const char *args)
{
    aigw_server_conf_t *conf = aigw_conf_server(cmd->server);
    const char *end = ap_strrchr_c(args, '>'), *err = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT | NOT_IN_LIMIT), *name;
    tier_t *tier;

    if (err) {
        return err;
    }
    if (!end) {
        return "<AIGWTier name> lacks its closing '>'";
    }
    args = apr_pstrmemdup(cmd->temp_pool, args, end - args);
    name = ap_getword_conf(cmd->pool, &args);
    if (!*name || *args) {
        return "<AIGWTier> takes one name, such as pro";
    }
    if (find_in(conf->tiers, name)) {
        return apr_psprintf(cmd->pool, "<AIGWTier %s>: there is one of this name already", name);
    }
    tier = apr_pcalloc(cmd->pool, sizeof *tier);
    tier->name = name;
    if ((err = check_inside(cmd, name)) != NULL || (err = read_inside(cmd, tier)) != NULL) {
        return err;
    }
    if (!conf->tiers) {
        conf->tiers = apr_array_make(cmd->pool, 4, sizeof(tier_t *));
    }
    APR_ARRAY_PUSH(conf->tiers, tier_t *) = tier;
    return NULL;
}

/* ------------------------------------------------------------------ which there are */

apr_array_header_t *aigw_tier_merge(apr_pool_t *p, const apr_array_header_t *base, const apr_array_header_t *add)
{
    apr_array_header_t *all = apr_array_make(p, 4, sizeof(tier_t *));
    int i;

    if (add) {
        apr_array_cat(all, add);
    }
    for (i = 0; base && i < base->nelts; i++) {
        tier_t *tier = APR_ARRAY_IDX(base, i, tier_t *);

        if (!find_in(add, tier->name)) {
            APR_ARRAY_PUSH(all, tier_t *) = tier;
        }
    }
    return all;
}

apr_status_t aigw_tier_check(server_rec *main_server)
{
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        const aigw_server_conf_t *conf = aigw_conf_server(s);

        if (conf->default_tier && !find_in(conf->tiers, conf->default_tier)) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "AIGW0104: AIGWDefaultTier %s: there is no such tier: add <AIGWTier %s> or name one there is", conf->default_tier,
                         conf->default_tier);
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}

const char *aigw_tier_name(const server_rec *s, const aigw_identity_t *identity)
{
    const aigw_server_conf_t *conf = aigw_conf_server(s);

    return find_in(conf->tiers, identity->tier) ? identity->tier : conf->default_tier;
}

const ap_conf_vector_t *aigw_tier_conf(const server_rec *s, const char *name)
{
    const tier_t *tier = find_in(aigw_conf_server(s)->tiers, name);

    return tier ? tier->conf : NULL;
}
