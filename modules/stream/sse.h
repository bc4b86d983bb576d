/* The answer as server-sent events (WIRE.md section 3): what the SSE dialects have in common. A dialect's sink embeds an aigw_sseout_t as its first member,
 * takes events itself and leaves flush, silence and end to this.
 *
 * What is written gathers until the turn's flush and then leaves in one piece. Nothing is committed before the first byte: until then a failure is a
 * plain JSON error with a status of its own.
 *
 * Thread: the one that owns the call, often the reactor: nothing here blocks but aigw_sseout_end(). Where call->client is NULL everything succeeds and
 * goes nowhere. Errors are APR_ECONNABORTED (the client is gone) and APR_ENOMEM.
 */
#ifndef AIGW_STREAM_SSE_H
#define AIGW_STREAM_SSE_H

#include <apr_buckets.h>
#include <httpd.h>
#include <http_config.h>
#include "aigw_sink.h"
#include "aigw_buffer.h"

typedef struct aigw_sseout_t {
    aigw_sink_t sink;
    const char *error_event; /* the event name that a failure goes by, NULL: none */
    aigw_buffer_t pending;   /* written in this turn */
    apr_bucket_brigade *bb;  /* in the client's r->pool: not to be touched once call->client is NULL */
    unsigned committed : 1;  /* status and header are spent */
    unsigned passed : 1;     /* something has gone to the filters */
    unsigned finished : 1;   /* the last event is written; more goes nowhere */
} aigw_sseout_t;

/* Makes out, the first member of a zeroed block in call->pool, a sink of that table. */
void aigw_sseout_init(aigw_sseout_t *out, aigw_call_t *call, const aigw_sink_vt *vt, const char *error_event);

/* Bytes as they are: whole events. */
apr_status_t aigw_sseout_bytes(aigw_sseout_t *out, aigw_call_t *call, const char *data, apr_size_t len);

/* One event with that JSON as its data and, if event is not NULL, that name. Takes the reference; NULL is APR_ENOMEM. */
apr_status_t aigw_sseout_json(aigw_sseout_t *out, aigw_call_t *call, const char *event, json_t *json);

/* The answer is complete: the last bytes (or NULL: they are written already). */
apr_status_t aigw_sseout_finish(aigw_sseout_t *out, aigw_call_t *call, const char *last);

/* The call failed: an error event, if something has been sent, and the connection closes after it. */
apr_status_t aigw_sseout_fail(aigw_sseout_t *out, aigw_call_t *call, const aigw_error_t *error);

/* Registers the optional function of aigw_sse_sink.h. */
void aigw_sse_sink_register(void);

/* For a dialect's table. */
apr_status_t aigw_sseout_flush(aigw_sink_t *sink, aigw_call_t *call);
apr_status_t aigw_sseout_silence(aigw_sink_t *sink, aigw_call_t *call);
void aigw_sseout_end(aigw_sink_t *sink, aigw_call_t *call);

#endif
