#include "tiers.h"
#include "auth.h"
#include "auth_conf.h"
#include "followed_file.h"
#include "aigw_tier_file.h"

#include <apr_strings.h>

#define FILE_MAX (16 * 1024 * 1024) /* bytes */

static void *read_tiers(apr_pool_t *p, const char *text, apr_size_t len, const char **fault)
{
    aigw_tier_fault_t found = {0};
    aigw_tier_file_t *tiers;

    if (aigw_tier_file_read(&tiers, text, len, p, &found) == APR_SUCCESS) {
        return tiers;
    }
    *fault = apr_psprintf(p, ", line %d: %s", found.line, found.message);
    return NULL;
}

static apr_size_t count_users(const void *data)
{
    return aigw_tier_file_count(data);
}

static const aigw_followed_kind_t tier_file = {"tier file", "users", FILE_MAX, read_tiers, count_users};

const char *aigw_tiers_set(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "AIGWTierFile: \"%s\" is no path", arg);
    }
    if (conf->tiers) {
        return apr_psprintf(cmd->pool, "AIGWTierFile: there is one already here, %s. Put all tiers in one file",
                            aigw_followed_file_path(conf->tiers));
    }
    conf->tiers = aigw_followed_file_make(cmd->pool, path, &tier_file);
    return NULL;
}

const char *aigw_tiers_find(const server_rec *s, apr_pool_t *p, const char *user)
{
    const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);
    aigw_generation_t *g = conf->tiers && user ? aigw_followed_file_take(conf->tiers) : NULL;
    const char *tier = NULL;

    if (g) {
        tier = apr_pstrdup(p, aigw_tier_file_find(g->data, user));
        aigw_followed_file_give_back(conf->tiers, g);
    }
    return tier;
}
