/* Calls without a client: started by a module (a task, a WebSocket message), or left over when a client went away and its upstream is drained. */
#ifndef AIGW_DETACHED_H
#define AIGW_DETACHED_H

#include "aigw_call.h"
#include "aigw_sink.h"

/* aigw_core_t.call_start and call_cancel. */
apr_status_t aigw_detached_start(aigw_call_t *call, aigw_sink_t *sink);
void aigw_detached_cancel(aigw_call_t *call);

/* The reactor has let go of a call without a client that is over, or needs a restart: a helper thread goes on with it. */
void aigw_detached_finish(aigw_call_t *call);

#endif
