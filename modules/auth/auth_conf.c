#include "auth_conf.h"
#include "auth.h"

#include <apr_strings.h>

void *aigw_auth_conf_server_create(apr_pool_t *p, server_rec *s)
{
    return apr_pcalloc(p, sizeof(aigw_auth_server_t));
}

void *aigw_auth_conf_server_merge(apr_pool_t *p, void *base, void *add)
{
    const aigw_auth_server_t *outer = base, *inner = add;
    aigw_auth_server_t *conf = apr_pmemdup(p, inner, sizeof *conf);

    if (!inner->keys) {
        conf->keys = outer->keys;
    }
    return conf;
}

void *aigw_auth_conf_dir_create(apr_pool_t *p, char *dir)
{
    return apr_pcalloc(p, sizeof(aigw_auth_dir_t));
}

void *aigw_auth_conf_dir_merge(apr_pool_t *p, void *base, void *add)
{
    const aigw_auth_dir_t *outer = base, *inner = add;
    aigw_auth_dir_t *conf = apr_pmemdup(p, inner, sizeof *conf);

    if (!inner->models) {
        conf->models = outer->models;
    }
    aigw_cors_merge(&conf->cors, &outer->cors);
    return conf;
}

const apr_array_header_t *aigw_auth_conf_models(const ap_conf_vector_t *per_dir)
{
    const aigw_auth_dir_t *conf = ap_get_module_config(per_dir, &aigw_auth_module);

    return conf->models && conf->models->nelts ? conf->models : NULL;
}

static const char *set_key_file(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "AIGWKeyFile: \"%s\" is no path", arg);
    }
    if (conf->keys) {
        return apr_psprintf(cmd->pool, "AIGWKeyFile: there is one already here, %s. Put all keys in one file",
                            aigw_key_store_path(conf->keys));
    }
    conf->keys = aigw_key_store_make(cmd->pool, path);
    return NULL;
}

static const char *add_models(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_dir_t *conf = dir;

    if (!strcasecmp(arg, "all")) {
        if (conf->models && conf->models->nelts) {
            return "AIGWAllowModels: \"all\" cannot stand beside names of models";
        }
        conf->models = apr_array_make(cmd->pool, 0, sizeof(const char *));
        return NULL;
    }
    if (conf->models && !conf->models->nelts) {
        return "AIGWAllowModels: \"all\" cannot stand beside names of models";
    }
    if (!conf->models) {
        conf->models = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(conf->models, const char *) = apr_pstrdup(cmd->pool, arg);
    return NULL;
}

const command_rec aigw_auth_conf_commands[] = {
    AP_INIT_TAKE1("AIGWKeyFile", set_key_file, NULL, RSRC_CONF, "the file of the API keys, a JSON object a line; aigw-key makes them"),
    AP_INIT_ITERATE("AIGWAllowModels", add_models, NULL, RSRC_CONF | ACCESS_CONF,
                    "names or patterns (gpt-4*) of the models that may be used here, whoever asks; or all"),
    AP_INIT_ITERATE("AIGWCorsOrigin", aigw_cors_add_origin, NULL, RSRC_CONF | ACCESS_CONF,
                    "origins (https://app.example.com, https://*.example.com) whose pages may use what is here; * or none"),
    AP_INIT_FLAG("AIGWCorsCredentials", aigw_cors_set_credentials, NULL, RSRC_CONF | ACCESS_CONF,
                 "on: those pages may send cookies and the like along"),
    {.name = NULL}};
