/* Telling who asked that a task has ended: one thread of a child sends what is due, several at a time. What is due is in the store until it has arrived, or is given up: at least once, whoever dies.
 */
#ifndef AIGW_TASK_CALLBACK_H
#define AIGW_TASK_CALLBACK_H

#include "tasks.h"
#include "task_callback_conf.h"

/* child_init. What it registers ends after the runner, which therefore begins after it. */
void aigw_task_callback_child_init(apr_pool_t *pchild, server_rec *main_server);

/* A task has ended here that has a callback. Any thread; also where there is no such thread. */
void aigw_task_callback_wake(void);

/* task_callback_body.c: what a receiver is told, malloc'ed: {"type", "timestamp", "data"}. APR_SUCCESS; APR_EAGAIN: the store is away; APR_ENOMEM. p: for work. */
apr_status_t aigw_task_callback_body(const aigw_store_vt *vt, aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback,
                                     char **body, apr_size_t *len);

#endif
