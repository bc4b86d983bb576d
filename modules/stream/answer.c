#include "answer.h"
#include "stream.h"
#include "aigw_text.h"

#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_stream);

/* ------------------------------------------------------------------ gathering */

static aigw_answer_tool_t *tool_at(aigw_answer_choice_t *choice, int index, apr_pool_t *p)
{
    if (index < 0 || index >= AIGW_TOOLS_MAX) {
        return NULL;
    }
    if (!choice->tools) {
        choice->tools = apr_array_make(p, 2, sizeof(aigw_answer_tool_t *));
    }
    while (choice->tools->nelts <= index) {
        aigw_answer_tool_t *tool = apr_pcalloc(p, sizeof *tool);

        aigw_buffer_init(&tool->arguments, p);
        APR_ARRAY_PUSH(choice->tools, aigw_answer_tool_t *) = tool;
    }
    return APR_ARRAY_IDX(choice->tools, index, aigw_answer_tool_t *);
}

static apr_status_t gather_tool(aigw_answer_choice_t *choice, const aigw_event_t *ev, apr_pool_t *p)
{
    aigw_answer_tool_t *tool = tool_at(choice, ev->tool_index, p);

    if (!tool) {
        return APR_SUCCESS;
    }
    if (ev->tool_id && !tool->id) {
        tool->id = apr_pstrdup(p, ev->tool_id);
    }
    if (ev->tool_name && !tool->name) {
        tool->name = apr_pstrdup(p, ev->tool_name);
    }
    return aigw_buffer_add(&tool->arguments, ev->data, ev->data ? ev->len : 0);
}

/* Of a stream: an event with one line of data, which a provider hands through. Of what cannot be read its server will have said more. */
static apr_status_t gather_chunk(aigw_answer_t *answer, aigw_call_t *call, const char *data, apr_size_t len)
{
    int pieces = 0;
    apr_status_t rv;

    if (!answer->chunks) {
        answer->chunks = aigw_chunks_make(call->pool);
    }
    rv = aigw_chunks_add(answer->chunks, data, len, &pieces);
    answer->pieces += pieces;
    return rv == APR_ENOMEM ? rv : APR_SUCCESS;
}

static apr_status_t gather_raw(aigw_answer_t *answer, aigw_call_t *call, const aigw_event_t *ev)
{
    return call->piecewise && ev->len > 6 && !memcmp(ev->data, "data: ", 6) ? gather_chunk(answer, call, ev->data + 6, ev->len - 6)
                                                                            : aigw_buffer_add(&answer->raw, ev->data, ev->len);
}

static apr_status_t gather(aigw_answer_t *answer, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_answer_choice_t *choice = ev->choice >= 0 && ev->choice < answer->nchoices ? &answer->choices[ev->choice] : NULL;

    switch (ev->kind) {
    case AIGW_EVENT_TEXT:
        answer->pieces++;
        return choice ? aigw_buffer_add(&choice->text, ev->data, ev->len) : APR_SUCCESS;
    case AIGW_EVENT_TOOL:
        answer->pieces++;
        return choice ? gather_tool(choice, ev, call->pool) : APR_SUCCESS;
    case AIGW_EVENT_RAW:
        return gather_raw(answer, call, ev);
    case AIGW_EVENT_PROGRESS:
        answer->progress = ev->progress > answer->progress ? ev->progress : answer->progress;
        break;
    case AIGW_EVENT_FINISH:
        if (choice && ev->finish_reason && !choice->finish_reason) {
            choice->finish_reason = apr_pstrndup(call->pool, ev->finish_reason, AIGW_FINISH_MAX);
        }
        break;
    case AIGW_EVENT_END:
        answer->complete = 1;
        break;
    case AIGW_EVENT_START:
    case AIGW_EVENT_USAGE: /* the core keeps it in call->usage */
    case AIGW_EVENT_ERROR: /* and this in call->error */
        break;
    }
    return APR_SUCCESS;
}

static apr_status_t answer_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_answer_t *answer = sink->baton;

    if ((call->client || answer->done) && gather(answer, call, ev) != APR_SUCCESS) {
        answer->no_memory = 1; /* an error from here would mean that the client is gone */
    }
    return APR_SUCCESS;
}

/* ------------------------------------------------------------------ writing */

static const aigw_error_t *no_memory(server_rec *s, apr_pool_t *p)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, APR_ENOMEM, s, "AIGW0203: no memory for the answer");
    return aigw_stream_core->error_make(p, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
}

const aigw_error_t *aigw_answer_failure(aigw_call_t *call)
{
    if (call->error) {
        return call->error;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server, "AIGW0202: the answer of model %s ended without an end or an error",
                 call->model->name);
    return aigw_stream_core->error_make(call->pool, HTTP_BAD_GATEWAY, "upstream_invalid_response", NULL,
                                        "The model server's answer ended early.");
}

void aigw_answer_send(request_rec *r, char *text, apr_size_t len)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb;

    if (!text) {
        aigw_stream_core->error_send(r, no_memory(r->server, r->pool));
        return;
    }
    r->status = HTTP_OK;
    r->status_line = NULL;
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)len);
    bb = apr_brigade_create(r->pool, alloc);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(text, len, free, alloc));
    ap_pass_brigade(r->output_filters, bb); /* a client that is gone shows in c->aborted and in the access log */
    apr_brigade_destroy(bb);
}

/* The body that was handed through, NUL-terminated. */
static char *take_raw(aigw_answer_t *answer, apr_size_t *len)
{
    char *text = aigw_buffer_add(&answer->raw, "", 1) == APR_SUCCESS ? aigw_buffer_take(&answer->raw, len) : NULL;

    *len -= text != NULL;
    return text;
}

/* malloc'ed, NUL-terminated; NULL without memory. */
static char *take_text(aigw_answer_t *answer, aigw_call_t *call, apr_size_t *len)
{
    char *text;

    if (answer->chunks || answer->raw.len) {
        return answer->chunks ? aigw_chunks_take(answer->chunks, len) : take_raw(answer, len);
    }
    if ((text = answer->shape(answer, call))) {
        *len = strlen(text);
    }
    return text;
}

static const aigw_error_t *fault_of(const aigw_answer_t *answer, aigw_call_t *call)
{
    if (call->error || !answer->complete) {
        return aigw_answer_failure(call);
    }
    return answer->no_memory ? no_memory(call->server, call->pool) : NULL;
}

static void tell_job(aigw_answer_t *answer, aigw_call_t *call)
{
    const aigw_error_t *error = fault_of(answer, call);
    apr_size_t len = 0;
    char *text = error ? NULL : take_text(answer, call, &len);

    if (!error && !text) {
        error = no_memory(call->server, call->pool);
    }
    answer->done(answer->done_baton, call, text, len, error);
}

static void answer_end(aigw_sink_t *sink, aigw_call_t *call)
{
    aigw_answer_t *answer = sink->baton;
    request_rec *r = call->client;
    const aigw_error_t *error;
    apr_size_t len = 0;

    if (answer->done) {
        tell_job(answer, call);
    }
    else if (r && !call->client_gone) {
        if ((error = fault_of(answer, call))) {
            aigw_stream_core->error_send(r, error);
        }
        else {
            char *text = take_text(answer, call, &len);

            aigw_answer_send(r, text, len);
        }
    }
}

static const aigw_sink_vt answer_vt = {"json", answer_event, NULL, NULL, answer_end};

aigw_answer_t *aigw_answer_make(aigw_call_t *call, int nchoices, aigw_answer_shape_fn shape, void *baton)
{
    aigw_answer_t *answer = apr_pcalloc(call->pool, sizeof *answer);
    int i;

    answer->sink.vt = &answer_vt;
    answer->sink.baton = answer;
    answer->shape = shape;
    answer->baton = baton;
    answer->nchoices = nchoices;
    answer->choices = apr_pcalloc(call->pool, (apr_size_t)nchoices * sizeof *answer->choices);
    for (i = 0; i < nchoices; i++) {
        aigw_buffer_init(&answer->choices[i].text, call->pool);
    }
    aigw_buffer_init(&answer->raw, call->pool);
    return answer;
}

/* ------------------------------------------------------------------ pieces of a shape */

json_t *aigw_answer_text(const aigw_answer_t *answer, int choice)
{
    return aigw_text_json(answer->choices[choice].text.data, answer->choices[choice].text.len);
}

char *aigw_answer_dump(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

json_t *aigw_answer_count(apr_int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

apr_int64_t aigw_answer_total(const aigw_usage_t *usage)
{
    if (usage->total_tokens >= 0) {
        return usage->total_tokens;
    }
    return usage->prompt_tokens >= 0 && usage->completion_tokens >= 0 ? usage->prompt_tokens + usage->completion_tokens : -1;
}
