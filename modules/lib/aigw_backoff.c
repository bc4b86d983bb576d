#include "aigw_backoff.h"

apr_interval_time_t aigw_backoff_next(const aigw_backoff_t *backoff, int attempts, apr_interval_time_t elapsed,
                                      apr_interval_time_t at_least, apr_uint32_t random)
{
    apr_interval_time_t pause = backoff->first, left, most;

    if (elapsed < 0) { /* two clocks */
        elapsed = 0;
    }
    left = backoff->total - elapsed;
    if (left <= 0) {
        return 0;
    }
    while (--attempts > 0 && pause < backoff->max) {
        pause *= 2;
    }
    most = elapsed > backoff->first / 2 ? 2 * elapsed : backoff->first; /* elapsed is less than total */
    pause = pause > most ? most : pause;
    pause = pause > backoff->max ? backoff->max : pause;
    pause = pause / 4 * 3 + (apr_interval_time_t)((double)pause / 2 * random / 4294967296.0);
    pause = pause < at_least ? at_least : pause;
    pause = pause > left ? left : pause;
    return pause > 0 ? pause : 1;
}
