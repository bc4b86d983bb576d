/* prefork: its handler of SIGTERM runs the child's pool cleanups, wherever the child's only thread is just then. It must not be where it holds a lock that they, or a thread
 * that they wait for, need too.
 */
#ifndef AIGW_AUTH_SIGNALS_H
#define AIGW_AUTH_SIGNALS_H

#include <signal.h>

/* child_init: whether this MPM is such a one. Again does no harm. */
void aigw_signals_child_init(void);

/* Around a lock, for a few instructions: no signal comes to this thread meanwhile. Costs nothing where threads serve requests. */
void aigw_signals_hold(sigset_t *before);
void aigw_signals_release(const sigset_t *before);

#endif
