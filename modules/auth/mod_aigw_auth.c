/* mod_aigw_auth: who may call what. This file only wires: hooks, directives, providers. */
#include "auth.h"
#include "auth_conf.h"
#include "cors.h"
#include "hide.h"
#include "identify.h"
#include "issuer.h"
#include "jwks_keeper.h"
#include "login.h"
#include "logout.h"
#include "me.h"
#include "recheck.h"
#include "refuse.h"
#include "require.h"
#include "revocations.h"
#include "revocations_redis.h"
#include "token.h"
#include "aigw_hooks.h"
#include "aigw_names.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <ap_provider.h>
#include <http_log.h>
#include <http_request.h>

const aigw_core_t *aigw_auth_core;

static int load_issuers(const apr_array_header_t *issuers, server_rec *s, apr_pool_t *pconf)
{
    int i, rc = 0;

    for (i = 0; !rc && issuers && i < issuers->nelts; i++) {
        rc = aigw_issuer_load(APR_ARRAY_IDX(issuers, i, aigw_issuer_t *), s, pconf);
    }
    return rc;
}

static int share_keys(const apr_array_header_t *issuers, server_rec *s, apr_pool_t *pconf)
{
    int i, rc = 0;

    for (i = 0; !rc && issuers && i < issuers->nelts; i++) {
        const aigw_issuer_t *issuer = APR_ARRAY_IDX(issuers, i, aigw_issuer_t *);

        rc = issuer->keys ? aigw_key_source_post_config(issuer->keys, s, pconf) : 0;
    }
    return rc;
}

static void keep_keys(const apr_array_header_t *issuers, server_rec *s, apr_pool_t *pchild)
{
    int i;

    for (i = 0; issuers && i < issuers->nelts; i++) {
        const aigw_issuer_t *issuer = APR_ARRAY_IDX(issuers, i, aigw_issuer_t *);

        if (issuer->keys) {
            aigw_key_source_child_init(issuer->keys, s, pchild);
        }
    }
}

/* In check_config, because `apachectl configtest` runs this and not post_config. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);

    aigw_auth_core = get ? get(AIGW_CORE_VERSION) : NULL;
    if (!aigw_auth_core) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0301: mod_aigw_auth needs mod_aigw %s: load mod_aigw before mod_aigw_auth%s",
                     AIGW_VERSION, get ? "; the one that is loaded is too old" : " (LoadModule aigw_module path/to/mod_aigw.so)");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (; s; s = s->next) {
        const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);

        if ((conf->keys && aigw_key_store_load(conf->keys, s, pconf)) || (conf->tiers && !aigw_followed_file_load(conf->tiers, s, pconf)) ||
            load_issuers(conf->issuers, s, pconf)) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return aigw_login_conf_check(pconf) ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

/* Behind the core's, which knows then whether there is a Redis. */
static int check_store(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    return aigw_revocations_redis_check(s) ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    if (aigw_revocations_post_config(s, pconf) || aigw_attempt_post_config(s)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (; s; s = s->next) {
        const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);

        if ((conf->keys && aigw_key_store_watch(conf->keys, pconf) != APR_SUCCESS) ||
            (conf->tiers && aigw_followed_file_watch(conf->tiers, pconf) != APR_SUCCESS)) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                         "AIGW0302: %s needs mod_watchdog, which sees when the file changes (LoadModule watchdog_module "
                         "path/to/mod_watchdog.so)",
                         conf->keys ? "AIGWKeyFile" : "AIGWTierFile");
            return HTTP_INTERNAL_SERVER_ERROR;
        }
        if (share_keys(conf->issuers, s, pconf)) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    int threaded = 0;

    aigw_signals_child_init(ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED);
    aigw_token_child_init(pchild, s);
    for (; s; s = s->next) {
        const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);

        if (conf->keys) {
            aigw_key_store_child_init(conf->keys, pchild, s);
        }
        keep_keys(conf->issuers, s, pchild);
        if (conf->tiers) {
            aigw_followed_file_child_init(conf->tiers, pchild, s);
        }
    }
}

/* What the location gives to anybody, and the tier to its users; last, so that a rewrite into another location counts, and whom another AuthType knows. */
static int note_models(request_rec *r)
{
    const apr_array_header_t *models = aigw_auth_conf_models(r->per_dir_config);

    if (r->main) {
        return DECLINED;
    }
    if (models) {
        aigw_auth_core->request(r)->location_models = models;
    }
    if (r->user || (r->handler && !strncmp(r->handler, "aigw-", 5))) { /* where nothing of ours is, nothing of ours is to be seen */
        aigw_request_t *context = aigw_auth_core->request(r);

        context->tier_models = aigw_auth_conf_tier_models(r->server, &context->identity);
    }
    return DECLINED;
}

static int call_admit(aigw_call_t *call, const aigw_error_t **error)
{
    /* tier and location anew: a call of another module's handler, or without a request, has not been through our fixups */
    if (aigw_auth_core->model_allowed(call->context, call->model) &&
        (call->client || aigw_names_allow(aigw_auth_conf_models(call->per_dir), call->model->name)) &&
        aigw_names_allow(aigw_auth_conf_tier_models(call->server, &call->context->identity), call->model->name)) {
        return OK;
    }
    *error = aigw_auth_core->error_make(call->pool, HTTP_FORBIDDEN, "model_not_allowed", "model", "You may not use the model %s here.",
                                        call->model->name);
    return HTTP_FORBIDDEN;
}

static void register_hooks(apr_pool_t *p)
{
    aigw_identify_register(p);
    aigw_cors_register(p);
    aigw_hide_register(p);
    aigw_refuse_register(p);
    aigw_require_register(p);
    aigw_recheck_register();
    aigw_jwks_keeper_register(p);
    aigw_login_register(p);
    aigw_logout_register(p);
    aigw_me_register(p);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_store, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(note_models, NULL, NULL, APR_HOOK_LAST);
    ap_register_provider(p, AIGW_TIER_DIRECTIVE, "AIGWAllowModels", "0", &aigw_auth_module);
    APR_OPTIONAL_HOOK(aigw, call_admit, call_admit, NULL, NULL, APR_HOOK_FIRST);
}

AP_DECLARE_MODULE(aigw_auth) = {
    STANDARD20_MODULE_STUFF,     aigw_auth_conf_dir_create, aigw_auth_conf_dir_merge, aigw_auth_conf_server_create,
    aigw_auth_conf_server_merge, aigw_auth_conf_commands,   register_hooks,           AP_MODULE_FLAG_NONE};
