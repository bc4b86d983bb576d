/* A sink for who has server-sent events to tell that no dialect of mod_aigw_stream knows: that module offers it by an optional function.
 */
#ifndef AIGW_SSE_SINK_H
#define AIGW_SSE_SINK_H

#include <apr_optional.h>
#include "aigw_call.h"
#include "aigw_sink.h"

/* Writes the bytes of RAW events to call->client as they are, pieces of events too, each turn's in one go; where nothing is said for AIGWKeepAliveInterval, and call->stream is 1, a comment. A piece should
 * be 16 KiB at most: that much is held for a client. END ends the response. A failure is a JSON error of its own status before the first byte, and an "event: error" after it. In call->pool.
 * Thread: the owner of call. */
APR_DECLARE_OPTIONAL_FN(aigw_sink_t *, aigw_sse_sink, (aigw_call_t * call));

#endif
