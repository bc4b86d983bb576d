/* /api/v1/stream/generate: {prompt, model?, max_tokens?, temperature?} → data: {"token","index"} ..., event: done, or event: error */
#include "question.h"
#include "answer.h"
#include "sse.h"
#include "stream.h"
#include "aigw_text.h"

typedef struct generate_stream_t {
    aigw_sseout_t out; /* first */
    apr_int64_t index; /* of the last token told, from 1 */
} generate_stream_t;

/* What the model server counted, if it did; a token of ours may be several of its own. */
static json_t *summary(const generate_stream_t *s, const aigw_call_t *call)
{
    apr_int64_t tokens = call->usage.completion_tokens >= 0 ? call->usage.completion_tokens : s->index;
    apr_time_t took = aigw_clock_now() - call->began;

    return json_pack("{s:b,s:I,s:I}", "done", 1, "total_tokens", (json_int_t)tokens, "duration_ms",
                     (json_int_t)apr_time_as_msec(took < 0 ? 0 : took));
}

static apr_status_t generate_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    generate_stream_t *s = sink->baton;
    apr_status_t rv;

    switch (ev->kind) {
    case AIGW_EVENT_TEXT:
        if (!call->client || ev->choice != 0 || ev->len == 0) {
            break;
        }
        return aigw_sseout_json(&s->out, call, NULL,
                                json_pack("{s:o,s:I}", "token", aigw_text_json(ev->data, ev->len), "index", (json_int_t)++s->index));
    case AIGW_EVENT_END:
        rv = aigw_sseout_json(&s->out, call, "done", summary(s, call));
        return rv == APR_SUCCESS ? aigw_sseout_finish(&s->out, call, NULL) : rv;
    case AIGW_EVENT_ERROR:
        return aigw_sseout_fail(&s->out, call, ev->error);
    default: /* this dialect tells the text and nothing else */
        break;
    }
    return APR_SUCCESS;
}

static const aigw_sink_vt generate_vt = {"generate-sse", generate_event, aigw_sseout_flush, aigw_sseout_silence, aigw_sseout_end};

int aigw_dialect_generate_stream(request_rec *r)
{
    aigw_asked_t asked;
    aigw_call_t *call;
    const aigw_error_t *error = aigw_question_ask(r, &aigw_form_generate_v1, 1, &asked, &call);
    generate_stream_t *s;

    if (error) {
        return aigw_stream_core->error_send(r, error);
    }
    s = apr_pcalloc(call->pool, sizeof *s);
    aigw_sseout_init(&s->out, call, &generate_vt, "error");
    return aigw_stream_core->call_run(r, call, &s->out.sink);
}
