/* Splitter of a server-sent event stream (WHATWG HTML, section 9.2): bytes in, whole events out.
 *
 * It cuts at event boundaries and copies only an event that straddles two inputs. It accepts LF, CRLF and CR line
 * ends, a byte order mark at the start, comments, and several data: lines (joined with LF).
 * One event may hold at most `max` bytes; a longer one is an error, so a stream's memory is bounded.
 *
 * Thread: the one that owns the splitter. Buffers come from malloc (realloc, no pool garbage) and go with the pool.
 */
#ifndef AIGW_SSE_H
#define AIGW_SSE_H

#include <apr_pools.h>

typedef struct aigw_sse_t aigw_sse_t;

typedef struct aigw_sse_event_t {
    /* The event's own bytes, blank line included, comments inside it too; valid until the next call. Where the blank line ends in CRLF
     * that LF is left out: it may not have come yet, and the event must not wait for it. */
    const char *raw;
    apr_size_t raw_len;
    const char *data;    /* its data lines joined with LF; not NUL-terminated; NULL if there is no data line */
    apr_size_t data_len; /* 0 for "data:" alone too (data is then not NULL) */
    const char *event;   /* value of its last event: line, or NULL; not NUL-terminated */
    apr_size_t event_len;
    int plain; /* 1: raw is exactly "data: " + data + "\n\n", one line: may be forwarded as it is */
} aigw_sse_event_t;

typedef enum {
    AIGW_SSE_MORE,    /* input used up */
    AIGW_SSE_EVENT,   /* *ev holds one event (never one that has no field at all: comments and blank lines are skipped) */
    AIGW_SSE_TOO_LONG /* an event is longer than max (or there is no memory for it): the stream is lost */
} aigw_sse_step_e;

/* A splitter in pool p for events of at most max bytes (raw). */
aigw_sse_t *aigw_sse_make(apr_pool_t *p, apr_size_t max);

/* Takes bytes from [*p, end) and moves *p on. Call until MORE or TOO_LONG; after TOO_LONG it says nothing else. */
aigw_sse_step_e aigw_sse_feed(aigw_sse_t *s, const char **p, const char *end, aigw_sse_event_t *ev);

/* Bytes of an event that has begun and not ended: more than 0 at the end of the stream means that it was cut. Comment lines before an
 * event do not count. */
apr_size_t aigw_sse_pending(const aigw_sse_t *s);

#endif
