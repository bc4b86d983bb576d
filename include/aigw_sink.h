/* A sink: where a call's events go. An SSE dialect, a JSON dialect, later a WebSocket or a task record.
 *
 * event(), flush() and silence() run in the thread that owns the call, often the reactor: they must not block, and may write to the client only by
 * ap_pass_brigade() (the core sees to it that this does not block).
 */
#ifndef AIGW_SINK_H
#define AIGW_SINK_H

#include "aigw_call.h"

typedef struct aigw_sink_vt {
    const char *name; /* for the log */

    /* Takes one event. APR_SUCCESS, or an error if it can take no more (the client is gone). */
    apr_status_t (*event)(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev);

    /* The events of this turn are all told: let what has gathered leave. NULL: nothing to do. Same return values. */
    apr_status_t (*flush)(aigw_sink_t *sink, aigw_call_t *call);

    /* Nothing has been sent for AIGWKeepAliveInterval. NULL: silence is fine. Same return values. */
    apr_status_t (*silence)(aigw_sink_t *sink, aigw_call_t *call);

    /* The call is over: call->error, call->client_gone and call->usage say how. Once for every call, in a thread that may block (but not
     * for one that is parked when its child is stopped the hard way: event() is told the error then, and no worker is left to run this); call->client is
     * NULL or still valid. Here a JSON answer, or an error where nothing has been sent yet, is written. */
    void (*end)(aigw_sink_t *sink, aigw_call_t *call);
} aigw_sink_vt;

struct aigw_sink_t {
    const aigw_sink_vt *vt;
    void *baton; /* the sink's own, in the call's pool */
};

#endif
