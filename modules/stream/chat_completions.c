/* /v1/chat/completions: OpenAI's chat completions. The client's body goes on as it came; the answer of an OpenAI upstream comes back as it came, that of
 * any other source is built from its events. */
#include "asked.h"
#include "chat_chunk.h"
#include "intake.h"
#include "sse.h"
#include "stream.h"
#include "aigw_chat.h"

#include <apr_strings.h>

/* ------------------------------------------------------------------ the stream */

typedef struct chat_stream_t {
    aigw_sseout_t out; /* first */
    aigw_chunk_t *chunk;
    unsigned raw : 1;   /* the provider hands its own events through: nothing is built */
    unsigned built : 1; /* the source tells TEXT and TOOL: chunks are built */
} chat_stream_t;

static aigw_chunk_choice_t *choice_of(chat_stream_t *s, const aigw_event_t *ev)
{
    return !s->raw && ev->choice >= 0 && ev->choice < s->chunk->nchoices ? &s->chunk->choices[ev->choice] : NULL;
}

static apr_status_t write_chunk(chat_stream_t *s, aigw_call_t *call, json_t *chunk)
{
    return aigw_sseout_json(&s->out, call, NULL, chunk);
}

static apr_status_t begin_choice(chat_stream_t *s, aigw_call_t *call, int index, int content)
{
    aigw_chunk_choice_t *choice = &s->chunk->choices[index];

    if (choice->begun) {
        return APR_SUCCESS;
    }
    choice->begun = 1;
    return write_chunk(s, call, aigw_chunk_role(s->chunk, index, content));
}

static apr_status_t finish_choice(chat_stream_t *s, aigw_call_t *call, int index)
{
    aigw_chunk_choice_t *choice = &s->chunk->choices[index];
    const char *reason = choice->finish_reason ? choice->finish_reason : choice->tools ? "tool_calls" : "stop";
    apr_status_t rv;

    if (choice->finished) {
        return APR_SUCCESS;
    }
    choice->finished = 1;
    rv = begin_choice(s, call, index, 1);
    return rv == APR_SUCCESS ? write_chunk(s, call, aigw_chunk_finish(s->chunk, index, reason)) : rv;
}

static apr_status_t on_piece(chat_stream_t *s, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_chunk_choice_t *choice = choice_of(s, ev);
    apr_status_t rv;

    if (!choice || choice->finished || (ev->kind == AIGW_EVENT_TEXT && ev->len == 0)) {
        return APR_SUCCESS;
    }
    s->built = 1;
    rv = begin_choice(s, call, ev->choice, ev->kind == AIGW_EVENT_TEXT);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (ev->kind == AIGW_EVENT_TEXT) {
        return write_chunk(s, call, aigw_chunk_text(s->chunk, ev->choice, ev->data, ev->len));
    }
    choice->tools = 1;
    return write_chunk(s, call, aigw_chunk_tool(s->chunk, ev));
}

/* A provider that hands its bytes through may tell FINISH before the bytes that say the same: while nothing has been built it waits for the end. */
static apr_status_t on_finish(chat_stream_t *s, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_chunk_choice_t *choice = choice_of(s, ev);

    if (!choice) {
        return APR_SUCCESS;
    }
    if (ev->finish_reason && !choice->finish_reason) {
        choice->finish_reason = apr_pstrndup(call->pool, ev->finish_reason, AIGW_FINISH_MAX);
    }
    return s->built ? finish_choice(s, call, ev->choice) : APR_SUCCESS;
}

static apr_status_t on_end(chat_stream_t *s, aigw_call_t *call)
{
    apr_status_t rv = APR_SUCCESS;

    if (!s->raw) {
        int i;

        for (i = 0; i < s->chunk->nchoices && rv == APR_SUCCESS; i++) {
            rv = finish_choice(s, call, i);
        }
        if (rv == APR_SUCCESS && s->chunk->usage && aigw_chunk_counted(&call->usage)) {
            rv = write_chunk(s, call, aigw_chunk_usage(s->chunk, &call->usage));
        }
    }
    return rv == APR_SUCCESS ? aigw_sseout_finish(&s->out, call, "data: [DONE]\n\n") : rv;
}

static apr_status_t stream_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    chat_stream_t *s = sink->baton;

    if (!call->client) {
        return APR_SUCCESS;
    }
    switch (ev->kind) {
    case AIGW_EVENT_RAW:
        s->raw = 1;
        return aigw_sseout_bytes(&s->out, call, ev->data, ev->len);
    case AIGW_EVENT_TEXT:
    case AIGW_EVENT_TOOL:
        return on_piece(s, call, ev);
    case AIGW_EVENT_FINISH:
        return on_finish(s, call, ev);
    case AIGW_EVENT_END:
        return on_end(s, call);
    case AIGW_EVENT_ERROR:
        return aigw_sseout_fail(&s->out, call, ev->error);
    case AIGW_EVENT_START:
    case AIGW_EVENT_USAGE:
    case AIGW_EVENT_PROGRESS:
        break;
    }
    return APR_SUCCESS;
}

static const aigw_sink_vt stream_vt = {"chat-completions-sse", stream_event, aigw_sseout_flush, aigw_sseout_silence, aigw_sseout_end};

static aigw_sink_t *stream_sink(aigw_call_t *call, const aigw_chat_t *chat)
{
    chat_stream_t *s = apr_pcalloc(call->pool, sizeof *s);

    aigw_sseout_init(&s->out, call, &stream_vt, NULL);
    s->chunk = aigw_chunk_make(call, chat->n, chat->include_usage);
    return &s->out.sink;
}

/* ------------------------------------------------------------------ the one JSON answer */

static char *completion(const aigw_answer_t *answer, aigw_call_t *call)
{
    return aigw_answer_dump(aigw_chunk_completion(answer->baton, answer, &call->usage));
}

static aigw_answer_t *json_answer(aigw_call_t *call, const aigw_asked_t *asked)
{
    return aigw_answer_make(call, asked->choices, completion, aigw_chunk_make(call, asked->choices, 0));
}

/* ------------------------------------------------------------------ the request */

static const aigw_error_t *understand(aigw_intake_t *in, aigw_asked_t *asked)
{
    aigw_chat_t *chat = apr_pcalloc(in->pool, sizeof *chat); /* its view points into the scan until the upstream has been asked */
    aigw_chat_fault_t fault = {NULL, NULL};

    memset(asked, 0, sizeof *asked);
    if (aigw_chat_read(chat, &in->scan, in->pool, &fault) != APR_SUCCESS) {
        return aigw_intake_invalid(in->pool, fault.param, "%s.", fault.message);
    }
    asked->in = in;
    asked->chat = chat;
    asked->max_tokens = chat->max_tokens;
    asked->temperature = chat->temperature;
    asked->choices = chat->n;
    return aigw_intake_model(in->server, in->pool, chat->model, &asked->model);
}

const aigw_form_t aigw_form_chat_completions = {"/v1/chat/completions", understand, json_answer};

int aigw_dialect_chat_completions(request_rec *r)
{
    aigw_intake_t *in = apr_palloc(r->pool, sizeof *in);
    aigw_asked_t asked;
    const aigw_error_t *error = aigw_intake_read(in, r, AIGW_LIMIT_CHAT_BODY);
    aigw_call_t *call;

    if (!error && (error = understand(in, &asked))) {
        aigw_intake_free(in);
    }
    if (error) {
        return aigw_stream_core->error_send(r, error);
    }
    call = aigw_stream_core->call_make(r, asked.model);
    aigw_asked_fill(call, &asked);
    call->stream = asked.chat->stream;
    call->want_usage = asked.chat->stream && asked.chat->include_usage;
    return aigw_stream_core->call_run(r, call, asked.chat->stream ? stream_sink(call, asked.chat) : &json_answer(call, &asked)->sink);
}
