/* What aigw-load does if it is told nothing else: streams or requests, one after the other in each slot. */
#define _GNU_SOURCE
#include "load.h"

#include <string.h>

#define RAMP_TICK_MS 2

/* How many may have been begun by now. */
static long allowed(void)
{
    static uint64_t began;
    uint64_t now = now_ns();
    double some;

    began = began ? began : now;
    some = opt.ramp * (double)(now - began) / 1e9 + 1;
    return opt.ramp > 0 && count.opened < opt.streams && some < (double)opt.total ? (long)some : opt.total;
}

void begin_some(void)
{
    long upto = allowed(), i;

    /* those that have just failed may be idle again at once: not more than one round */
    for (i = idle_n; i > 0 && count.opened < upto; i--) {
        stream_begin(idle[--idle_n]);
    }
}

int all_begun(void)
{
    return count.opened >= opt.total && count.open == count.started;
}

int run_step(void)
{
    double seconds = (double)(now_ns() - count.measured_from) / 1e9;

    if (opt.warmup > 0 && seconds >= opt.warmup) {
        opt.warmup = 0;
        count.measured_from = now_ns();
        memset(&count.latency, 0, sizeof count.latency);
        memset(&count.ttft, 0, sizeof count.ttft);
        memset(&count.added, 0, sizeof count.added);
        seconds = 0;
    }
    if (stopping || (opt.seconds > 0 && seconds >= opt.seconds && opt.warmup <= 0)) {
        opt.total = count.opened; /* those that are open go on to their end */
    }
    begin_some();
    if (count.opened >= opt.total) {
        return count.open ? 500 : -1;
    }
    return RAMP_TICK_MS;
}
