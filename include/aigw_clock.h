/* The clock of calls: monotonic, so that a step of the wall clock (NTP, a virtual machine that was resumed) neither cuts streams nor keeps dead ones.
 * Its values say nothing alone, only their differences do; what is shown to people or stored is apr_time_now().
 */
#ifndef AIGW_CLOCK_H
#define AIGW_CLOCK_H

#include <apr_time.h>
#include <time.h>

/* Microseconds since some time before this child, never 0. Any thread, signal handlers too; some 30 ns. */
static inline apr_time_t aigw_clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_time_t)t.tv_sec * APR_USEC_PER_SEC + t.tv_nsec / 1000 + 1;
}

#endif
