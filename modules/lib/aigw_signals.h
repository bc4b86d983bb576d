/* prefork: its handler of SIGTERM destroys the child's pool, wherever the child's only thread is just then. That must not be where it holds a lock which the pool's cleanups, or a
 * thread that they wait for, need too; and threads that are made meanwhile never get a signal.
 *
 * Each module has a copy of its own.
 */
#ifndef AIGW_SIGNALS_H
#define AIGW_SIGNALS_H

#include <signal.h>

/* child_init, before there are requests and threads of ours. kill: 1 with prefork. Again does no harm. */
void aigw_signals_child_init(int kill);

/* Between these two, a few instructions, no signal comes to this thread. They do nothing where threads serve requests. */
void aigw_signals_hold(sigset_t *before);
void aigw_signals_release(const sigset_t *before);

#endif
