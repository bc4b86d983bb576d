#include "signals.h"

#include <httpd.h>
#include <ap_mpm.h>

static int known, holding; /* set once, before there are requests and threads of ours */

void aigw_signals_child_init(void)
{
    int threaded = 0;

    if (known) {
        return;
    }
    known = 1;
    holding = ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED;
}

void aigw_signals_hold(sigset_t *before)
{
    sigset_t all;

    if (holding) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, before);
    }
}

void aigw_signals_release(const sigset_t *before)
{
    if (holding) {
        pthread_sigmask(SIG_SETMASK, before, NULL);
    }
}
