#include "tasks.h"
#include "aigw_rfc3339.h"
#include "aigw_text.h"

static const char *const states[] = {"pending", "running", "completed", "failed", "cancelled"};

static void put_time(json_t *json, const char *name, apr_time_t t, apr_pool_t *p)
{
    json_object_set_new(json, name, t ? json_string(aigw_rfc3339_format(p, t)) : json_null());
}

/* A JSON text that the store kept. */
static void put_json(json_t *json, const char *name, const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;

    json_object_set_new(json, name, value ? value : json_null());
}

json_t *aigw_task_json(apr_pool_t *p, const aigw_task_t *task, int jobs)
{
    json_t *json =
        json_pack("{s:s,s:s,s:f,s:s,s:s,s:i,s:i}", jobs ? "job_id" : "task_id", task->id, "status", states[task->state], "progress",
                  task->progress, "endpoint", task->endpoint, "model", task->model, "priority", task->priority, "attempts", task->attempts);

    if (json) {
        put_time(json, "created_at", task->created, p);
        put_time(json, "started_at", task->started, p);
        put_time(json, "completed_at", task->completed, p);
        put_time(json, "expires_at", task->expires, p);
        json_object_set_new(json, "callback_url", task->callback_url ? json_string(task->callback_url) : json_null());
        put_json(json, "result", task->result);
        put_json(json, "error", task->error);
        put_json(json, "usage", task->usage);
    }
    return json;
}
