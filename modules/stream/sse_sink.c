/* Events of other modules on their way to a client (aigw_sse_sink.h). */
#include "aigw_sse_sink.h"
#include "sse.h"
#include "stream.h"

static apr_status_t pass_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_sseout_t *out = sink->baton;

    switch (ev->kind) {
    case AIGW_EVENT_RAW:
        return aigw_sseout_bytes(out, call, ev->data, ev->len);
    case AIGW_EVENT_END:
        return aigw_sseout_finish(out, call, NULL);
    case AIGW_EVENT_ERROR:
        return aigw_sseout_fail(out, call, ev->error);
    default: /* no model is asked here */
        break;
    }
    return APR_SUCCESS;
}

static const aigw_sink_vt pass_vt = {"sse", pass_event, aigw_sseout_flush, aigw_sseout_silence, aigw_sseout_end};

static aigw_sink_t *aigw_sse_sink(aigw_call_t *call)
{
    aigw_sseout_t *out = apr_pcalloc(call->pool, sizeof *out);

    aigw_sseout_init(out, call, &pass_vt, "error");
    return &out->sink;
}

void aigw_sse_sink_register(void)
{
    APR_REGISTER_OPTIONAL_FN(aigw_sse_sink);
}
