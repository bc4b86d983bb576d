/* mod_aigw_tasks: what its files share.
 */
#ifndef AIGW_TASKS_H
#define AIGW_TASKS_H

#include "aigw.h"
#include "aigw_identity.h"
#include "aigw_job.h"
#include "aigw_sse_sink.h"

#include <http_config.h>

extern module AP_MODULE_DECLARE_DATA aigw_tasks_module;

/* The core's functions and mod_aigw_stream's. Set before the first request, while the configuration is checked; never NULL in a handler. */
extern const aigw_core_t *aigw_tasks_core;
extern APR_OPTIONAL_FN_TYPE(aigw_job_check) * aigw_tasks_check;
extern APR_OPTIONAL_FN_TYPE(aigw_job_make) * aigw_tasks_make;
extern APR_OPTIONAL_FN_TYPE(aigw_endpoint_tail) * aigw_tasks_tail;
extern APR_OPTIONAL_FN_TYPE(aigw_endpoint_here) * aigw_tasks_here;
extern APR_OPTIONAL_FN_TYPE(aigw_identity_recheck) * aigw_tasks_recheck; /* NULL: mod_aigw_auth is not there */
extern APR_OPTIONAL_FN_TYPE(aigw_job_progress) * aigw_tasks_progress;
extern APR_OPTIONAL_FN_TYPE(aigw_sse_sink) * aigw_tasks_sse_sink;

/* Of the main server; all say what a directive of the same name says. Constant once the configuration is read. */
typedef struct aigw_tasks_conf_t {
    int workers;                           /* running in a child at the same time */
    int attempts;                          /* begun so often at most */
    int per_user;                          /* unfinished of one owner; 0: any number */
    apr_interval_time_t lease;             /* a child that was not heard of for so long has lost its tasks */
    apr_interval_time_t drain;             /* what runs when a child is to stop has so long to finish, */
    apr_interval_time_t drain_restart;     /* and so long where others are there already, at a graceful restart */
    apr_interval_time_t patience;          /* one that a limit does not let run is tried for so long */
    apr_interval_time_t ttl, ttl_max;      /* finished ones are kept so long, and so long at most where the client says */
    apr_off_t max_body, max_result;        /* bytes */
    struct aigw_callback_conf_t *callback; /* task_callback_conf.h */
    apr_interval_time_t wait_max;          /* Prefer: wait=N waits no longer; 0: not at all */
} aigw_tasks_conf_t;

void *aigw_tasks_conf_create(apr_pool_t *p, server_rec *s);
extern const command_rec aigw_tasks_conf_commands[];
const aigw_tasks_conf_t *aigw_tasks_conf(void); /* defaults filled in */
void aigw_tasks_conf_take(const server_rec *main_server);

/* --- who asks: task_owner.c */

/* Who asks: the request's own, with the user that httpd knows where no module of ours has said who it is. To be called before all else. */
aigw_request_t *aigw_task_who(request_rec *r);

/* The owner's name in the store, in p: "user:alice", or of who is nobody his address as limits count it, "address:192.0.2.1", "address:2001:db8:1:2::/64". */
const char *aigw_task_owner(apr_pool_t *p, const aigw_request_t *context);

/* What a call must know of who asked, and of where (the path whose configuration holds), as JSON in p, and back. No secret is in it. NULL: no memory; or it is none. */
const char *aigw_task_identity_write(apr_pool_t *p, const aigw_request_t *context, const char *section);
aigw_request_t *aigw_task_identity_read(apr_pool_t *p, const char *json);

/* "ServerName:port" of a virtual host, and back. NULL: there is none any more. */
const char *aigw_task_server_name(apr_pool_t *p, const server_rec *s);
server_rec *aigw_task_server_find(apr_pool_t *p, server_rec *main_server, const char *name);

/* --- as clients see one: task_json.c. jobs: 1: it is called job_id */

/* Without its result. A new reference. */
json_t *aigw_task_json(apr_pool_t *p, const aigw_task_t *task, int jobs);

/* With it, on one line. In p; NULL: no memory. */
const char *aigw_task_text(apr_pool_t *p, const aigw_task_t *task, int jobs);

/* --- the endpoint: task_endpoint.c, task_create.c */
int aigw_task_endpoint(request_rec *r);
const aigw_error_t *aigw_task_create(request_rec *r, const aigw_store_vt *vt, aigw_store_t *store, const aigw_task_t **task);
const aigw_error_t *aigw_task_unavailable(apr_pool_t *p);

/* --- following one: task_events.c, task_wait.c. task: as it stands now, with its result. Returned is what the handler must return. */
int aigw_task_events(request_rec *r, const aigw_task_t *task, int jobs);

/* What Prefer: wait=N asks for, at most AIGWTaskWaitMax; 0: nothing. Sets Preference-Applied. */
apr_interval_time_t aigw_task_wait_wanted(request_rec *r);

/* Calls answer once the task has ended, or when the time is over, in a thread that may block; not where the client has gone. known: 1: the store is not to be asked. All of it must live as long as r. */
typedef void (*aigw_task_wait_fn)(void *baton, const aigw_task_t *task, int known);
int aigw_task_wait(request_rec *r, const aigw_task_t *task, apr_interval_time_t time, aigw_task_wait_fn answer, void *baton);

#endif
