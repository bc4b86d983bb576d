/* W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/): the traceparent header. Thread: any; no state. */
#ifndef AIGW_TRACEPARENT_H
#define AIGW_TRACEPARENT_H

#include <apr_pools.h>

typedef struct aigw_traceparent_t {
    char trace_id[33];   /* 32 lower-case hex digits, NUL; never all zero */
    char span_id[17];    /* 16 lower-case hex digits, NUL: this hop's own */
    char parent_id[17];  /* the caller's span, or "" where the trace begins here */
    unsigned char flags; /* bit 0: sampled */
} aigw_traceparent_t;

/* Continues header (NULL or malformed: begins a trace) with a new span. random: 24 random bytes: 16 for a trace ID, 8 for the span ID.
 * A version above 00 is read as its first four fields; ff, upper case, all-zero IDs and trailing bytes of version 00 are malformed.
 * A trace that begins here is sampled; of a continued one the sampled flag is kept and other flags are cleared. Returns 1 if continued. */
int aigw_traceparent_continue(aigw_traceparent_t *t, const char *header, const unsigned char random[24]);

/* "00-<trace_id>-<span_id>-<flags>", 55 characters, in p. */
char *aigw_traceparent_format(apr_pool_t *p, const aigw_traceparent_t *t);

#endif
