/* The thread of the child that runs tasks: it claims them, starts their calls on the engine, says that they live, and writes how they ended.
 */
#ifndef AIGW_TASK_RUNNER_H
#define AIGW_TASK_RUNNER_H

#include "task_run.h"

void aigw_task_runner_child_init(apr_pool_t *pchild, server_rec *main_server);

/* The child_stopping hook, before the core's, which ends the engine where the stop is not graceful. */
void aigw_task_runner_stopping(apr_pool_t *pchild, int graceful);

/* There is something to do. Any thread. */
void aigw_task_runner_wake(void);

/* Its owner wants it to end, and the store knows it: where it runs in this child it ends at once; elsewhere its runner sees it at its next look. */
void aigw_task_runner_cancel(const char *id);

/* The call of this run is over: the run is the runner's from now on. Once for each that was started; the call's thread, while the call is still there. */
void aigw_task_runner_ended(aigw_task_run_t *run);

#endif
