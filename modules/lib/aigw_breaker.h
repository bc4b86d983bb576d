/* A circuit breaker: what has failed several times in a row is left alone for a while, then tried by one alone. Closed (all go on) → open (nobody) → probing (one) → closed,
 * or open again for twice as long.
 *
 * Whoever wants to go asks for a ticket and says afterwards how it went. A ticket is good for the state that it was given in: how stragglers from before fared changes nothing.
 *
 * Thread: no state of its own and no lock; who shares a breaker holds one lock around each call.
 */
#ifndef AIGW_BREAKER_H
#define AIGW_BREAKER_H

#include <apr.h>
#include <apr_time.h>

typedef struct aigw_breaker_limits_t {
    int failures;                    /* so many one after the other open it; 1 and more */
    apr_interval_time_t backoff_min; /* microseconds: it stays open so long at first, above 0 */
    apr_interval_time_t backoff_max; /* twice as long each time, up to this */
    apr_interval_time_t probe_max;   /* microseconds: a probe of which nothing was heard for so long is taken for lost; above 0 */
} aigw_breaker_limits_t;

typedef enum { AIGW_BREAKER_CLOSED, AIGW_BREAKER_OPEN, AIGW_BREAKER_PROBING } aigw_breaker_state_e;

/* All zero: closed. */
typedef struct aigw_breaker_t {
    aigw_breaker_state_e state;
    int failures;                /* closed: one after the other so far */
    apr_uint64_t changes;        /* of the state */
    apr_time_t until;            /* open: nobody before this; probing: then the probe is lost */
    apr_interval_time_t backoff; /* how long it is, or was, open */
    apr_time_t since;            /* when it opened, being closed before */
} aigw_breaker_t;

typedef enum { AIGW_BREAKER_WELL, AIGW_BREAKER_FAILED, AIGW_BREAKER_UNTRIED } aigw_breaker_result_e;
typedef enum { AIGW_BREAKER_NOTHING, AIGW_BREAKER_OPENED, AIGW_BREAKER_STAYED_OPEN, AIGW_BREAKER_RECOVERED } aigw_breaker_event_e;

/* now: microseconds of a clock that need not be steady; if it steps back, an open one is open for no longer than its back-off. */

/* A ticket, or 0: do not try. Is the state AIGW_BREAKER_PROBING after it gave one, then it is the probe's: the only one until its result. */
apr_uint64_t aigw_breaker_ticket(aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, apr_time_t now);

/* How it went, once for each ticket; UNTRIED: it said nothing about the other side. Returns what has changed by it. */
aigw_breaker_event_e aigw_breaker_result(aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, apr_uint64_t ticket,
                                         aigw_breaker_result_e result, apr_time_t now);

/* 1: aigw_breaker_ticket() would give none now. */
int aigw_breaker_refuses(const aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, apr_time_t now);

#endif
