/* Sliding window: in any span of the window's length at most amount. The past is kept in slices of a fifteenth of the window; a slice counts until all of it is out of the window, so what was used
 * comes back up to a fifteenth of the window late, and never early.
 *
 * Thread: any; no state of its own. Who shares a window locks it.
 */
#ifndef AIGW_WINDOW_H
#define AIGW_WINDOW_H

#include <apr.h>
#include <apr_time.h>

#define AIGW_WINDOW_SLICES 16 /* the present one, and fifteen that are over */

typedef struct aigw_window_rate_t {
    apr_int64_t amount;         /* 1..10^12 */
    apr_interval_time_t window; /* microseconds, 1 second to 31 days */
} aigw_window_rate_t;

/* All zero: nothing was used. */
typedef struct aigw_window_t {
    apr_int64_t newest;                     /* number of the newest slice: time / slice */
    apr_uint32_t at;                        /* its place */
    apr_int64_t counts[AIGW_WINDOW_SLICES]; /* a ring */
} aigw_window_t;

/* now: as of aigw_bucket.h; a clock that steps back delays what comes back by as much as it has stepped, but for what is older than the window then. */

/* What is left, 0..amount. */
apr_int64_t aigw_window_level(const aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now);

/* Uses cost (0 and more), whether it is left or not. */
void aigw_window_take(aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now, apr_int64_t cost);

/* Gives back what was used at that time; nothing where that is over, and never more than was used in that slice. */
void aigw_window_give(aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now, apr_time_t used_at, apr_int64_t cost);

/* Microseconds until cost is left; 0: now. For a cost above the amount: until all is. */
apr_interval_time_t aigw_window_wait(const aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now, apr_int64_t cost);

/* The length of a slice, microseconds: for who counts elsewhere (a store in Redis). */
apr_interval_time_t aigw_window_slice(const aigw_window_rate_t *rate);

#endif
