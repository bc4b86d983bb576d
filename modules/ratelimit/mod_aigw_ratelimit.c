/* mod_aigw_ratelimit: how much of what. This file only wires: hooks, directives. */
#include "limit.h"
#include "limit_conf.h"
#include "limit_call.h"
#include "limit_me.h"
#include "limit_request.h"
#include "limit_status.h"
#include "limit_store.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <ap_provider.h>
#include <http_log.h>

const aigw_core_t *aigw_limit_core;

/* In check_config, because `apachectl configtest` runs this and not post_config. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);

    aigw_limit_core = get ? get(AIGW_CORE_VERSION) : NULL;
    if (!aigw_limit_core) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     "AIGW0401: mod_aigw_ratelimit needs mod_aigw %s: load mod_aigw before mod_aigw_ratelimit%s", AIGW_VERSION,
                     get ? "; the one that is loaded is too old" : " (LoadModule aigw_module path/to/mod_aigw.so)");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return aigw_limit_store_check_config(s) ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    return aigw_limit_store_post_config(s) ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    int threaded = 0;

    aigw_signals_child_init(ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED);
    aigw_limit_store_child_init(pchild, s);
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const core[] = {"mod_aigw.c", NULL};
    /* what may stand in <AIGWTier> */
    static const char *const in_tiers[] = {"AIGWLimit",       "AIGWLimitBy",     "AIGWLimitMode",
                                           "AIGWLimitExempt", "AIGWLimitCached", "AIGWLimitReserve"};
    apr_size_t i;

    for (i = 0; i < sizeof in_tiers / sizeof *in_tiers; i++) {
        ap_register_provider(p, AIGW_TIER_DIRECTIVE, in_tiers[i], "0", &aigw_ratelimit_module);
    }
    ap_hook_check_config(check_config, core, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL,
                       APR_HOOK_REALLY_FIRST); /* what begins later ends earlier: calls settle before their child has left */
    aigw_limit_request_register(p);
    aigw_limit_call_register(p);
    aigw_limit_me_register();
    aigw_limit_status_register(p);
}

AP_DECLARE_MODULE(aigw_ratelimit) = {STANDARD20_MODULE_STUFF,
                                     aigw_limit_conf_dir_create,
                                     aigw_limit_conf_dir_merge,
                                     aigw_limit_conf_server_create,
                                     NULL,
                                     aigw_limit_conf_commands,
                                     register_hooks,
                                     AP_MODULE_FLAG_NONE};
