#include "tier.h"
#include "conf.h"

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
    const ap_directive_t *parent = cmd->directive->parent;
    tier_t *tier;

    if (err) {
        return err;
    }
    for (; parent; parent = parent->parent) {
        if (!ap_cstr_casecmp(parent->directive, "<AIGWTier")) {
            return "<AIGWTier> does not stand inside another <AIGWTier>";
        }
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
    if ((err = read_inside(cmd, tier)) != NULL) {
        return err;
    }
    if (!conf->tiers) {
        conf->tiers = apr_array_make(cmd->pool, 4, sizeof(tier_t *));
    }
    APR_ARRAY_PUSH(conf->tiers, tier_t *) = tier;
    return NULL;
}

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
