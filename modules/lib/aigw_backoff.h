/* When to try again what has failed: after twice as long each time, and not all at the same moment.
 *
 * Thread: any; no state, no clock.
 */
#ifndef AIGW_BACKOFF_H
#define AIGW_BACKOFF_H

#include <apr_time.h>

typedef struct aigw_backoff_t {
    apr_interval_time_t first, max; /* microseconds: the first pause, and the longest */
    apr_interval_time_t total;      /* after so long it is given up */
} aigw_backoff_t;

/* Microseconds until the next try, a quarter less or more by chance; 0: give up. The last try is when the time is over.
 * attempts: so far, from 1. elapsed: since it was first to be done. A pause is at most twice that: what was begun often without having been tried does not wait for longer for it.
 * at_least: what the other side asks for (Retry-After); 0: nothing. random: any number. */
apr_interval_time_t aigw_backoff_next(const aigw_backoff_t *backoff, int attempts, apr_interval_time_t elapsed,
                                      apr_interval_time_t at_least, apr_uint32_t random);

#endif
