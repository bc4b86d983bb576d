/* mod_aigw: the core. This file only wires: hooks, directives, the table of functions for other modules. */
#include "aigw.h"
#include "body.h"
#include "call.h"
#include "capacity.h"
#include "child.h"
#include "client.h"
#include "conf.h"
#include "defer.h"
#include "detached.h"
#include "dry.h"
#include "error.h"
#include "http_source.h"
#include "model_conf.h"
#include "park.h"
#include "redis.h"
#include "store.h"
#include "request.h"
#include "secret.h"
#include "tier.h"
#include "transport.h"
#include "../provider/providers.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <mpm_common.h>

static const aigw_core_t core = {
    .version = AIGW_CORE_VERSION,
    .request = aigw_request_get,
    .error_make = aigw_error_make,
    .error_send = aigw_error_send,
    .error_json = aigw_error_json,
    .body_read = aigw_body_read,
    .body_free = aigw_body_free,
    .model_find = aigw_model_find,
    .models = aigw_model_all,
    .call_make = aigw_call_make,
    .call_make_detached = aigw_call_make_detached,
    .call_run = aigw_call_run,
    .call_start = aigw_detached_start,
    .call_cancel = aigw_detached_cancel,
    .call_emit = aigw_call_emit,
    .http_source = aigw_http_source,
    .defer = aigw_defer,
    .model_allowed = aigw_request_model_allowed,
    .tier_name = aigw_tier_name,
    .tier_conf = aigw_tier_conf,
    .redis = aigw_redis_get,
    .redis_vt = &aigw_redis_functions,
    .store = aigw_store_get,
    .secret_fault = aigw_secret_source_fault,
    .secret_read = aigw_secret_read,
    .call_make_watching = aigw_call_make_watching,
    .store_name = aigw_store_name,
    .stopping = aigw_child_is_stopping,
};

static const aigw_core_t *aigw_core(int version)
{
    return version <= AIGW_CORE_VERSION ? &core : NULL;
}

/* Here and not in post_config, because `apachectl configtest` runs this. Server configurations are merged, nothing is forked, the error log is still the terminal. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    if (aigw_model_conf_check(pconf, ptemp, s) != APR_SUCCESS || aigw_tier_check(s) != APR_SUCCESS ||
        aigw_redis_check(pconf, ptemp, s) != APR_SUCCESS || aigw_store_check_config(s, ptemp) != APR_SUCCESS ||
        aigw_transport_check_config(pconf, ptemp, s) != APR_SUCCESS) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    aigw_park_query_mpm();
    aigw_transport_query_mpm();
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) { /* httpd reads everything twice at its start */
        aigw_capacity_check(ptemp, s);
        aigw_redis_post_config(s);
        if (aigw_store_post_config(s, pconf, ptemp) != APR_SUCCESS) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    aigw_child_init(pchild, s);
    aigw_redis_child_init(pchild, s);
    aigw_store_child_init(pchild, s);
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const after_proxy[] = {"mod_proxy.c", "mod_proxy_balancer.c", NULL};

    APR_REGISTER_OPTIONAL_FN(aigw_core);
    aigw_providers_register(p);
    aigw_stores_register(p);
    aigw_request_register(p);
    aigw_error_register(p);
    aigw_client_register(p);
    aigw_dry_register(p);
    aigw_park_register(p);
    aigw_tier_register(p);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(aigw_child_threads, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_child_init(child_init, after_proxy, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(aigw_child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(aigw) = {STANDARD20_MODULE_STUFF, aigw_conf_dir_create, aigw_conf_dir_merge, aigw_conf_server_create,
                           aigw_conf_server_merge,  aigw_conf_commands,   register_hooks,      AP_MODULE_FLAG_NONE};
