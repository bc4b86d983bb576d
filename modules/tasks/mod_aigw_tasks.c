/* mod_aigw_tasks: jobs that outlive the request. This file only wires: hooks, directives. */
#include "task_callback.h"
#include "task_runner.h"
#include "task_watch.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_log.h>
#include <mpm_common.h>

const aigw_core_t *aigw_tasks_core;
APR_OPTIONAL_FN_TYPE(aigw_job_check) * aigw_tasks_check;
APR_OPTIONAL_FN_TYPE(aigw_job_make) * aigw_tasks_make;
APR_OPTIONAL_FN_TYPE(aigw_endpoint_tail) * aigw_tasks_tail;
APR_OPTIONAL_FN_TYPE(aigw_endpoint_here) * aigw_tasks_here;
APR_OPTIONAL_FN_TYPE(aigw_identity_recheck) * aigw_tasks_recheck;
APR_OPTIONAL_FN_TYPE(aigw_job_progress) * aigw_tasks_progress;
APR_OPTIONAL_FN_TYPE(aigw_sse_sink) * aigw_tasks_sse_sink;

/* Is there a SetHandler aigw-tasks? In the text of the configuration: what httpd makes of it is an expression that wants a request. */
static int has_location(const ap_directive_t *at)
{
    for (; at; at = at->next) {
        if ((!ap_cstr_casecmp(at->directive, "SetHandler") && at->args && ap_strstr_c(at->args, "aigw-tasks")) ||
            has_location(at->first_child)) {
            return 1;
        }
    }
    return 0;
}

/* In check_config, because `apachectl configtest` runs this and not post_config. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);

    aigw_tasks_core = get ? get(AIGW_CORE_VERSION) : NULL;
    aigw_tasks_check = APR_RETRIEVE_OPTIONAL_FN(aigw_job_check);
    aigw_tasks_make = APR_RETRIEVE_OPTIONAL_FN(aigw_job_make);
    aigw_tasks_tail = APR_RETRIEVE_OPTIONAL_FN(aigw_endpoint_tail);
    aigw_tasks_here = APR_RETRIEVE_OPTIONAL_FN(aigw_endpoint_here);
    aigw_tasks_recheck = APR_RETRIEVE_OPTIONAL_FN(aigw_identity_recheck);
    aigw_tasks_progress = APR_RETRIEVE_OPTIONAL_FN(aigw_job_progress);
    aigw_tasks_sse_sink = APR_RETRIEVE_OPTIONAL_FN(aigw_sse_sink);
    if (!aigw_tasks_core || !aigw_tasks_check || !aigw_tasks_make || !aigw_tasks_tail || !aigw_tasks_here || !aigw_tasks_progress ||
        !aigw_tasks_sse_sink) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0601: mod_aigw_tasks needs mod_aigw and mod_aigw_stream %s: load them too",
                     AIGW_VERSION);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!aigw_tasks_core->store_name() && has_location(ap_conftree)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0609: there are locations with SetHandler aigw-tasks and no AIGWStore, so that all tasks are refused: say where "
                     "they are kept, for example AIGWStore "
                     "sqlite:/var/lib/aigw/aigw.db");
    }
    aigw_tasks_conf_take(s);
    return aigw_callback_conf_check(aigw_tasks_conf()->callback, s, ptemp);
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    int threaded = 0;

    aigw_signals_child_init(ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED);
    aigw_task_callback_child_init(pchild, s);
    aigw_task_watch_child_init(pchild, s);
    aigw_task_runner_child_init(pchild, s);
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_LAST); /* what begins last ends first: tasks before the engine and the store */
    ap_hook_child_stopping(aigw_task_runner_stopping, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(aigw_task_endpoint, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(aigw_tasks) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, aigw_tasks_conf_create, NULL, aigw_tasks_conf_commands, register_hooks, AP_MODULE_FLAG_NONE};
