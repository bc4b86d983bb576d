/* Prefer: wait=N (RFC 7240): the answer comes when the task has ended, or after N seconds. */
#include "task_source.h"
#include "aigw_prefer.h"

#include <apr_strings.h>

/* A request that waits; in its pool. */
typedef struct wait_t {
    aigw_task_source_t source;
    aigw_sink_t sink;
    aigw_task_wait_fn answer;
    void *baton;
} wait_t;

static apr_status_t drop_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    return APR_SUCCESS;
}

/* A child that is stopped hard does not ask the store any more: the task is as it was. */
static void end(aigw_sink_t *sink, aigw_call_t *call)
{
    wait_t *wait = sink->baton;

    if (call->client && !call->client_gone) {
        wait->answer(wait->baton, wait->source.task, call->error != NULL);
    }
}

static const aigw_sink_vt vt = {"task-wait", drop_event, NULL, NULL, end};

apr_interval_time_t aigw_task_wait_wanted(request_rec *r)
{
    const apr_int64_t wanted = aigw_prefer_wait(apr_table_get(r->headers_in, "Prefer")), max = apr_time_sec(aigw_tasks_conf()->wait_max);
    const apr_int64_t seconds = wanted < max ? wanted : max;

    if (seconds <= 0) {
        return 0;
    }
    apr_table_setn(r->headers_out, "Preference-Applied", apr_psprintf(r->pool, "wait=%" APR_INT64_T_FMT, seconds));
    return apr_time_from_sec(seconds);
}

int aigw_task_wait(request_rec *r, const aigw_task_t *task, apr_interval_time_t time, aigw_task_wait_fn answer, void *baton)
{
    wait_t *wait = apr_pcalloc(r->pool, sizeof *wait);

    wait->source.task = task;
    wait->source.what = AIGW_WATCH_END;
    wait->source.until = aigw_clock_now() + time;
    aigw_task_source_init(&wait->source);
    wait->sink.vt = &vt;
    wait->sink.baton = wait;
    wait->answer = answer;
    wait->baton = baton;
    return aigw_tasks_core->call_run(r, aigw_tasks_core->call_make_watching(r, &wait->source.source), &wait->sink);
}
