/* Claims of which nobody knows whether they were done, for the store's answer did not come: a COMMIT may be carried out after we have given up its connection. Such a task would be running for nobody until its
 * lease is over, and have an attempt less. So each is handed back as soon as the store knows of it, for as long as the lease lasts.
 *
 * Thread: the runner's.
 */
#ifndef AIGW_TASK_DOUBTS_H
#define AIGW_TASK_DOUBTS_H

#include "tasks.h"

/* Perhaps these are ours. They are copied; the holder must live as long as the child. */
void aigw_task_doubts_add(const aigw_task_lease_t *leases, int n);

/* These are, and run: a claim that was not done before was done now, under the same number. */
void aigw_task_doubts_drop(const aigw_task_lease_t *leases, int n);

/* Hands back what is ours, at most once in a tick. last: 1: now, there is no other time. p: for work, cleared. */
void aigw_task_doubts_settle(apr_pool_t *p, int last);

#endif
