/* A heap of timers for one thread: O(log n) to set, move and drop, O(1) to ask for the next.
 * (apr_skiplist, which the event MPM uses, allocates a node for each level and cannot move an element.)
 *
 * Thread: one. The clock is an argument: any monotonic-ish count of microseconds. A timer is embedded in what it belongs to, which must
 * outlive its stay in the heap.
 */
#ifndef AIGW_TIMERS_H
#define AIGW_TIMERS_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct aigw_timer_t {
    apr_time_t at; /* when it is due; read only outside of aigw_timers */
    int slot;      /* 1..n: where it stands in the heap; 0: not in it. Zeroed memory is a valid idle timer. */
    void *owner;   /* the caller's */
} aigw_timer_t;

typedef struct aigw_timers_t aigw_timers_t;

/* An empty heap; its array is malloc'ed, grows and shrinks, and goes with p. */
aigw_timers_t *aigw_timers_make(apr_pool_t *p);

/* Puts t in, or moves it, to `at`. APR_ENOMEM, and APR_EINVAL for a timer of another heap, leave t as it was. */
apr_status_t aigw_timers_set(aigw_timers_t *h, aigw_timer_t *t, apr_time_t at);
void aigw_timers_drop(aigw_timers_t *h, aigw_timer_t *t); /* no-op if t is not in */
aigw_timer_t *aigw_timers_due(aigw_timers_t *h,
                              apr_time_t now);       /* takes out and returns one that is due (at <= now), earliest first, or NULL */
apr_time_t aigw_timers_next(const aigw_timers_t *h); /* when the earliest is due, or -1 */
int aigw_timers_count(const aigw_timers_t *h);

#endif
