/* How long each of many waits who were told to come later, so that they come one by one: where a limit holds 500 back, and all came when it says, 499 came in vain.
 *
 * Time is an argument: microseconds of any clock that does not go back. Thread: one at a time.
 */
#ifndef AIGW_SPREAD_H
#define AIGW_SPREAD_H

#include <apr_time.h>

#define AIGW_SPREAD_MAX apr_time_from_sec(60) /* what changed meanwhile is seen after this at the latest, twice this where many wait */

/* Of those who wait for the same. All zeros: nobody does. */
typedef struct aigw_spread_t {
    double waiting; /* about how many were told within the last AIGW_SPREAD_MAX */
    apr_time_t told;
} aigw_spread_t;

/* One more is told to come later. asked: what he was told. chance: 0..1, anything. Returns after how long he is to come: at least asked and a second, at most AIGW_SPREAD_MAX, and then some more, so that about
 * five a second come. */
apr_interval_time_t aigw_spread_next(aigw_spread_t *spread, apr_time_t now, apr_interval_time_t asked, double chance);

#endif
