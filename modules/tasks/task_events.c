/* GET …/{id}/events: how a task gets on, as server-sent events. */
#include "task_source.h"

#include <http_protocol.h>
#include <apr_strings.h>

/* What the client has seen before it lost its connection. What is ahead of the task was never ours. */
static void read_last(const request_rec *r, aigw_task_source_t *source)
{
    const aigw_task_mark_t now = aigw_task_watch_mark(source->task);

    source->saw = aigw_task_mark_read(apr_table_get(r->headers_in, "Last-Event-ID"), &source->seen) &&
                  aigw_task_mark_compare(&source->seen, &now) <= 0;
}

/* The client knows the end: there is nothing more to be told, and with 204 a browser does not come again. */
static int knows_all(const aigw_task_source_t *source)
{
    const aigw_task_mark_t now = aigw_task_watch_mark(source->task);

    return source->saw && source->task->state > AIGW_TASK_RUNNING && !aigw_task_mark_compare(&source->seen, &now);
}

int aigw_task_events(request_rec *r, const aigw_task_t *task, int jobs)
{
    aigw_task_source_t *source = apr_pcalloc(r->pool, sizeof *source);
    aigw_call_t *call;

    source->task = task;
    source->what = jobs ? AIGW_WATCH_JOB : AIGW_WATCH_TASK;
    aigw_task_source_init(source);
    read_last(r, source);
    if (knows_all(source)) {
        r->status = HTTP_NO_CONTENT;
        apr_table_setn(r->headers_out, "Cache-Control", "no-store");
        return OK;
    }
    if (r->header_only) {
        ap_set_content_type(r, "text/event-stream; charset=utf-8");
        apr_table_setn(r->headers_out, "Cache-Control", "no-cache");
        return OK;
    }
    call = aigw_tasks_core->call_make_watching(r, &source->source);
    call->stream = 1;
    return aigw_tasks_core->call_run(r, call, aigw_tasks_sse_sink(call));
}
