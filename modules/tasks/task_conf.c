#include "tasks.h"
#include "task_callback_conf.h"
#include "aigw_size.h"

#include <apr_strings.h>

#define DAY          (24 * 3600) /* seconds */
#define YEAR         (366 * DAY)
#define SIZE_LEAST   1024
#define SIZE_LARGEST ((apr_off_t)1 << 30)

static aigw_tasks_conf_t conf; /* of the main server */

void *aigw_tasks_conf_create(apr_pool_t *p, server_rec *s)
{
    aigw_tasks_conf_t *made = apr_pcalloc(p, sizeof *made);

    made->callback = aigw_callback_conf_make(p);
    made->workers = 100;
    made->attempts = 3;
    made->per_user = 1000;
    made->lease = apr_time_from_sec(30);
    made->drain = apr_time_from_sec(30);
    made->drain_restart = apr_time_from_sec(600);
    made->patience = apr_time_from_sec(24 * 3600);
    made->ttl = apr_time_from_sec(24 * 3600);
    made->ttl_max = apr_time_from_sec(7 * 24 * 3600);
    made->max_body = 1024 * 1024;
    made->max_result = 4 * 1024 * 1024;
    made->wait_max = apr_time_from_sec(60);
    return made;
}

void aigw_tasks_conf_take(const server_rec *main_server)
{
    conf = *(const aigw_tasks_conf_t *)ap_get_module_config(main_server->module_config, &aigw_tasks_module);
}

const aigw_tasks_conf_t *aigw_tasks_conf(void)
{
    return &conf;
}

static const char *number(cmd_parms *cmd, const char *arg, int min, int max, int *to)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char *end;
    const apr_int64_t n = apr_strtoi64(arg, &end, 10);

    if (err) {
        return err;
    }
    if (*end || end == arg || n < min || n > max) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is no number from %d to %d", cmd->cmd->name, arg, min, max);
    }
    *to = (int)n;
    return NULL;
}

static const char *span(cmd_parms *cmd, const char *arg, int min, int max, apr_interval_time_t *to)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (err) {
        return err;
    }
    if (*arg < '0' || *arg > '9' || ap_timeout_parameter_parse(arg, to, "s") != APR_SUCCESS || *to < apr_time_from_sec(min) ||
        *to > apr_time_from_sec(max)) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is no time from %ds to %ds", cmd->cmd->name, arg, min, max);
    }
    return NULL;
}

static aigw_tasks_conf_t *of(cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &aigw_tasks_module);
}

static const char *set_workers(cmd_parms *cmd, void *dummy, const char *arg)
{
    return number(cmd, arg, 0, 100000, &of(cmd)->workers);
}

static const char *set_attempts(cmd_parms *cmd, void *dummy, const char *arg)
{
    return number(cmd, arg, 1, 100, &of(cmd)->attempts);
}

static const char *set_per_user(cmd_parms *cmd, void *dummy, const char *arg)
{
    return number(cmd, arg, 0, 1000000000, &of(cmd)->per_user);
}

static const char *set_lease(cmd_parms *cmd, void *dummy, const char *arg)
{
    return span(cmd, arg, 1, 3600, &of(cmd)->lease);
}

static const char *set_drain(cmd_parms *cmd, void *dummy, const char *arg, const char *restart)
{
    aigw_tasks_conf_t *to = of(cmd);
    const char *err = span(cmd, arg, 0, DAY, &to->drain);

    if (!err && restart) {
        err = span(cmd, restart, 0, DAY, &to->drain_restart);
    }
    else if (to->drain_restart < to->drain) {
        to->drain_restart = to->drain;
    }
    return err;
}

static const char *set_patience(cmd_parms *cmd, void *dummy, const char *arg)
{
    return span(cmd, arg, 0, YEAR, &of(cmd)->patience);
}

static const char *set_ttl(cmd_parms *cmd, void *dummy, const char *arg, const char *max)
{
    aigw_tasks_conf_t *to = of(cmd);
    const char *err = span(cmd, arg, 1, YEAR, &to->ttl);

    if (!err && max) {
        err = span(cmd, max, 1, YEAR, &to->ttl_max);
    }
    else if (to->ttl_max < to->ttl) {
        to->ttl_max = to->ttl;
    }
    return !err && to->ttl_max < to->ttl ? "AIGWTaskTTL: the second time, the longest that a client may ask for, is shorter than the first"
                                         : err;
}

static const char *size(cmd_parms *cmd, const char *arg, apr_off_t *to)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return err ? err
           : aigw_size_read(arg, to) && *to >= SIZE_LEAST && *to <= SIZE_LARGEST
               ? NULL
               : apr_psprintf(cmd->pool, "%s: \"%s\" is no size from 1K to 1G", cmd->cmd->name, arg);
}

static const char *set_max_body(cmd_parms *cmd, void *dummy, const char *arg)
{
    return size(cmd, arg, &of(cmd)->max_body);
}

static const char *set_max_result(cmd_parms *cmd, void *dummy, const char *arg)
{
    return size(cmd, arg, &of(cmd)->max_result);
}

static const char *set_wait_max(cmd_parms *cmd, void *dummy, const char *arg)
{
    return span(cmd, arg, 0, 3600, &of(cmd)->wait_max);
}

const command_rec aigw_tasks_conf_commands[] = {
    AP_INIT_TAKE1("AIGWTaskWorkers", set_workers, NULL, RSRC_CONF, "how many tasks run in a child at the same time; 0: none"),
    AP_INIT_TAKE1("AIGWTaskAttempts", set_attempts, NULL, RSRC_CONF, "how often a task is begun whose process died"),
    AP_INIT_TAKE1("AIGWTasksPerUser", set_per_user, NULL, RSRC_CONF, "how many unfinished tasks a user may have; 0: any number"),
    AP_INIT_TAKE1("AIGWTaskLease", set_lease, NULL, RSRC_CONF, "after how long without a sign of life a task is taken up again"),
    AP_INIT_TAKE12("AIGWTaskDrain", set_drain, NULL, RSRC_CONF,
                   "how long running tasks have to finish when their child is to stop; and when it is restarted gracefully"),
    AP_INIT_TAKE1("AIGWTaskPatience", set_patience, NULL, RSRC_CONF, "for how long a task is tried that a limit does not let run"),
    AP_INIT_TAKE12("AIGWTaskTTL", set_ttl, NULL, RSRC_CONF, "how long finished tasks are kept; and the longest that a client may ask for"),
    AP_INIT_TAKE1("AIGWTaskMaxBody", set_max_body, NULL, RSRC_CONF, "bytes of a task that is created, where LimitRequestBody says nothing"),
    AP_INIT_TAKE1("AIGWTaskMaxResult", set_max_result, NULL, RSRC_CONF, "bytes of an answer that is kept"),
    AP_INIT_ITERATE("AIGWCallbackAllow", aigw_callback_set_allow, NULL, RSRC_CONF,
                    "hosts that may be told that a task has ended: https://hooks.example.com, *.example.org:8443"),
    AP_INIT_TAKE_ARGV("AIGWCallbackSecret", aigw_callback_set_secret, NULL, RSRC_CONF,
                      "where the secret is that signs callbacks, and older ones: file:PATH, env:NAME"),
    AP_INIT_FLAG("AIGWCallbackPrivate", aigw_callback_set_private, NULL, RSRC_CONF, "on: callbacks may go to private addresses"),
    AP_INIT_ITERATE("AIGWCallbackNetwork", aigw_callback_set_network, NULL, RSRC_CONF,
                    "networks that callbacks may go to though they are not public"),
    AP_INIT_TAKE1("AIGWCallbackTimeout", aigw_callback_set_timeout, NULL, RSRC_CONF, "how long one try of a callback may take"),
    AP_INIT_TAKE_ARGV("AIGWCallbackRetry", aigw_callback_set_retry, NULL, RSRC_CONF,
                      "first=TIME max=TIME for=TIME: the pauses between tries, and when a callback is given up"),
    AP_INIT_TAKE1("AIGWCallbackCA", aigw_callback_set_ca, NULL, RSRC_CONF,
                  "certificates that receivers of callbacks are verified with, instead of the system's"),
    AP_INIT_TAKE1("AIGWTaskWaitMax", set_wait_max, NULL, RSRC_CONF, "how long 'Prefer: wait=N' may wait for a task's end"),
    {.name = NULL}};
