#include "aigw_signals.h"

static int they_kill;

void aigw_signals_child_init(int kill)
{
    they_kill = kill;
}

void aigw_signals_hold(sigset_t *before)
{
    sigset_t all;

    if (they_kill) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, before);
    }
}

void aigw_signals_release(const sigset_t *before)
{
    if (they_kill) {
        pthread_sigmask(SIG_SETMASK, before, NULL);
    }
}
