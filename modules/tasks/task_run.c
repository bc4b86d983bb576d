#include "task_run.h"
#include "task_runner.h"
#include "aigw_chat.h"

#include <apr_atomic.h>
#include <apr_hash.h>
#include <apr_strings.h>

#define SAID_ALL 1000000 /* of aigw_task_run_t.said */

/* ------------------------------------------------------------------ the end of a call */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* After how long to come again, as an upstream has said it; 0: it has not, or as a date. */
static apr_interval_time_t asked(const aigw_error_t *error)
{
    const char *said = error->retry_after_as_is;

    return said ? apr_time_from_sec(*said >= '0' && *said <= '9' && strlen(said) < 10 ? apr_atoi64(said) : 0) : error->retry_after;
}

/* call NULL: there was none. A limit, ours or the upstream's; or nobody can tell now (limits and tokens in a Redis that is away). */
static void judge(aigw_task_run_t *run, const aigw_call_t *call, const aigw_error_t *error)
{
    run->cut = error->code && !strcmp(error->code, "shutting_down");
    run->later = !(call && call->pieces) && !error->never &&
                 (error->status == HTTP_TOO_MANY_REQUESTS || (error->status == HTTP_SERVICE_UNAVAILABLE && !(call && call->admitted)));
    run->asked = asked(error);
}

static void fail(aigw_task_run_t *run, apr_pool_t *p, const aigw_call_t *call, const aigw_error_t *error)
{
    judge(run, call, error);
    json_t *whole = json_loads(aigw_tasks_core->error_json(p, error), 0, NULL);

    run->failed = 1;
    run->error = whole ? json_dumps(json_object_get(whole, "error"), JSON_COMPACT) : NULL;
    json_decref(whole);
}

static char *usage_text(const aigw_usage_t *usage)
{
    json_t *json =
        usage->prompt_tokens < 0 && usage->completion_tokens < 0
            ? NULL
            : json_pack("{s:I,s:I,s:I}", "prompt_tokens", (json_int_t)usage->prompt_tokens, "completion_tokens",
                        (json_int_t)usage->completion_tokens, "total_tokens",
                        (json_int_t)(usage->total_tokens >= 0 ? usage->total_tokens : usage->prompt_tokens + usage->completion_tokens));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

static void done(void *baton, aigw_call_t *call, char *text, apr_size_t len, const aigw_error_t *error)
{
    aigw_task_run_t *run = baton;

    if (text && (apr_off_t)len > aigw_tasks_conf()->max_result) {
        free(text);
        text = NULL;
        error = aigw_tasks_core->error_make(call->pool, 500, "result_too_large", NULL,
                                            "The answer is larger than the %" APR_OFF_T_FMT
                                            " bytes that a task may keep. Ask for a shorter one.",
                                            aigw_tasks_conf()->max_result);
    }
    run->result = text;
    run->usage = usage_text(&call->usage);
    run->used = call->usage.completion_tokens;
    if (error) {
        fail(run, call->pool, call, error);
    }
    aigw_task_runner_ended(run);
}

/* ------------------------------------------------------------------ the sink in front */

static apr_status_t count_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_task_run_t *run = sink->baton;
    const apr_status_t rv = run->inner->vt->event(run->inner, call, ev);
    apr_int64_t pieces;
    double said;

    aigw_tasks_progress(run->inner, &pieces, &said);
    apr_atomic_set32(&run->tokens, (apr_uint32_t)pieces);
    apr_atomic_set32(&run->said, (apr_uint32_t)(said * SAID_ALL));
    return rv;
}

static void pass_end(aigw_sink_t *sink, aigw_call_t *call)
{
    aigw_task_run_t *run = sink->baton;

    run->inner->vt->end(run->inner, call);
}

static const aigw_sink_vt counting = {"task", count_event, NULL, NULL, pass_end};

/* ------------------------------------------------------------------ the beginning */

aigw_task_run_t *aigw_task_run_make(const aigw_task_lease_t *lease, const char *holder)
{
    aigw_task_run_t *run = calloc(1, sizeof *run);

    if (run) {
        run->lease = *lease;
        run->lease.id = copy(lease->id);
        run->lease.holder = holder;
        run->sink.vt = &counting;
        run->sink.baton = run;
        run->used = -1;
        APR_RING_ELEM_INIT(run, link);
    }
    return run;
}

int aigw_task_run_prepare(aigw_task_run_t *run, apr_pool_t *p, server_rec *main_server, const aigw_task_t *task)
{
    server_rec *server = aigw_task_server_find(p, main_server, task->server);
    aigw_request_t *context = aigw_task_identity_read(p, task->identity);
    const aigw_error_t *error =
        server && context ? NULL : aigw_tasks_core->error_make(p, 500, "internal_error", NULL, "The virtual host of this task is gone.");
    apr_ssize_t len = APR_HASH_KEY_STRING;
    aigw_call_t *call;

    run->created = task->created;
    run->tells = task->callback_url != NULL;
    run->owner = apr_hashfunc_default(task->owner, &len);
    if (!error && aigw_tasks_recheck) {
        error = aigw_tasks_recheck(server, p, &context->identity);
    }
    if (!error) {
        error = aigw_tasks_make(server, context, p, task->endpoint, task->request, strlen(task->request), done, run, &call, &run->inner);
    }
    if (error) {
        fail(run, p, NULL, error);
        return 0;
    }
    run->call = call;
    run->max_tokens = (call->max_tokens > 0 ? call->max_tokens : call->model->max_tokens) * (call->body ? call->body->chat->n : 1);
    return 1;
}

apr_status_t aigw_task_run_start(aigw_task_run_t *run)
{
    return aigw_tasks_core->call_start(run->call, &run->sink);
}

/* The larger of the two: both only grow, and so does this. */
double aigw_task_run_progress(const aigw_task_run_t *run)
{
    const double said = (double)apr_atomic_read32((volatile apr_uint32_t *)&run->said) / SAID_ALL;
    const double counted =
        run->max_tokens > 0 ? (double)apr_atomic_read32((volatile apr_uint32_t *)&run->tokens) / (double)run->max_tokens : 0;
    const double part = said > counted ? said : counted;

    return part > 0.99 ? 0.99 : part;
}

void aigw_task_run_free(aigw_task_run_t *run)
{
    free((char *)run->lease.id);
    free(run->result);
    free(run->error);
    free(run->usage);
    free(run);
}
