#include "tasks.h"

#include <apr_strings.h>

static aigw_tasks_conf_t conf; /* of the main server */

void *aigw_tasks_conf_create(apr_pool_t *p, server_rec *s)
{
    aigw_tasks_conf_t *made = apr_pcalloc(p, sizeof *made);

    made->workers = 100;
    made->attempts = 3;
    made->per_user = 1000;
    made->lease = apr_time_from_sec(30);
    made->drain = apr_time_from_sec(30);
    made->ttl = apr_time_from_sec(24 * 3600);
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

static const char *set_drain(cmd_parms *cmd, void *dummy, const char *arg)
{
    return span(cmd, arg, 0, 3600, &of(cmd)->drain);
}

static const char *set_ttl(cmd_parms *cmd, void *dummy, const char *arg)
{
    return span(cmd, arg, 1, 366 * 24 * 3600, &of(cmd)->ttl);
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
    AP_INIT_TAKE1("AIGWTaskDrain", set_drain, NULL, RSRC_CONF, "how long running tasks have when their child is to stop"),
    AP_INIT_TAKE1("AIGWTaskTTL", set_ttl, NULL, RSRC_CONF, "how long finished tasks are kept"),
    AP_INIT_TAKE1("AIGWTaskWaitMax", set_wait_max, NULL, RSRC_CONF, "how long 'Prefer: wait=N' may wait for a task's end"),
    {.name = NULL}};
