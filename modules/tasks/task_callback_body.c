#include "task_callback.h"
#include "aigw_rfc3339.h"

#include <apr_strings.h>

static const char *const types[] = {"task.pending", "task.running", "task.completed", "task.failed", "task.cancelled"};

/* The task with all that its owner sees. *found: NULL: its TTL is over. */
static apr_status_t find(const aigw_store_vt *vt, aigw_store_t *store, apr_pool_t *p, const char *id, const aigw_task_t **found)
{
    const aigw_task_t *seen = NULL;
    apr_status_t rv = vt->task_look(store, p, &id, 1, &seen);

    *found = NULL;
    if (rv == APR_SUCCESS && seen) {
        rv = vt->task_get(store, p, id, seen->owner, 1, found);
    }
    return rv == APR_NOTFOUND || rv == APR_EOF ? APR_SUCCESS : rv;
}

apr_status_t aigw_task_callback_body(const aigw_store_vt *vt, aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback,
                                     char **body, apr_size_t *len)
{
    const aigw_task_t *task;
    apr_status_t rv = find(vt, store, p, callback->task, &task);
    const char *text, *data;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    data = task ? aigw_task_text(p, task, 0) : apr_psprintf(p, "{\"task_id\":\"%s\"}", callback->task);
    if (!data) {
        return APR_ENOMEM;
    }
    text = apr_psprintf(p, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", task ? types[task->state] : "task.expired",
                        aigw_rfc3339_format(p, task ? task->completed : callback->first));
    *body = strdup(apr_pstrcat(p, text, data, "}", NULL));
    *len = *body ? strlen(*body) : 0;
    return *body ? APR_SUCCESS : APR_ENOMEM;
}
