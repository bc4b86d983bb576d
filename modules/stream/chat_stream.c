/* /v1/chat/stream: {message, model?} → data: {"token": "..."} ... data: [DONE] */
#include "question.h"
#include "sse.h"
#include "stream.h"
#include "aigw_text.h"

static apr_status_t token_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_sseout_t *out = sink->baton;

    switch (ev->kind) {
    case AIGW_EVENT_TEXT:
        if (!call->client || ev->choice != 0 || ev->len == 0) {
            break;
        }
        return aigw_sseout_json(out, call, NULL, json_pack("{s:o}", "token", aigw_text_json(ev->data, ev->len)));
    case AIGW_EVENT_END:
        return aigw_sseout_finish(out, call, "data: [DONE]\n\n");
    case AIGW_EVENT_ERROR:
        return aigw_sseout_fail(out, call, ev->error);
    default: /* this dialect tells the text and nothing else */
        break;
    }
    return APR_SUCCESS;
}

static const aigw_sink_vt token_vt = {"chat-sse", token_event, aigw_sseout_flush, aigw_sseout_silence, aigw_sseout_end};

int aigw_dialect_chat_stream(request_rec *r)
{
    aigw_asked_t asked;
    aigw_call_t *call;
    const aigw_error_t *error = aigw_question_ask(r, &aigw_form_chat, 1, &asked, &call);
    aigw_sseout_t *out;

    if (error) {
        return aigw_stream_core->error_send(r, error);
    }
    out = apr_pcalloc(call->pool, sizeof *out);
    aigw_sseout_init(out, call, &token_vt, NULL);
    return aigw_stream_core->call_run(r, call, &out->sink);
}
