#include "tasks.h"
#include "aigw_rfc3339.h"
#include "aigw_json_scan.h"
#include "aigw_text.h"

#include <apr_strings.h>

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

/* All but its result. */
static json_t *head_of(apr_pool_t *p, const aigw_task_t *task, int jobs)
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
        put_json(json, "error", task->error);
        put_json(json, "usage", task->usage);
    }
    return json;
}

json_t *aigw_task_json(apr_pool_t *p, const aigw_task_t *task, int jobs)
{
    json_t *json = head_of(p, task, jobs);

    if (json) {
        json_object_set_new(json, "result", json_null());
    }
    return json;
}

/* As the model server wrote it: its numbers may be larger than ours, or have other digits. On one line. */
static const char *result_of(apr_pool_t *p, const char *result)
{
    aigw_json_scan_t scan;
    char *line, *at;

    if (!result || aigw_json_scan(&scan, p, result, strlen(result)) != APR_SUCCESS) {
        return "null";
    }
    if (!result[strcspn(result, "\r\n")]) {
        return result;
    }
    for (at = line = apr_pstrdup(p, result); *at; at++) { /* within a string there are none */
        if (*at == '\r' || *at == '\n') {
            *at = ' ';
        }
    }
    return line;
}

const char *aigw_task_text(apr_pool_t *p, const aigw_task_t *task, int jobs)
{
    json_t *json = head_of(p, task, jobs);
    char *head = json ? json_dumps(json, JSON_COMPACT) : NULL;
    const char *text = NULL;

    if (head) {
        head[strlen(head) - 1] = '\0';
        text = apr_pstrcat(p, head, ",\"result\":", result_of(p, task->result), "}", NULL);
    }
    free(head);
    json_decref(json);
    return text;
}
