/* Tasks and callbacks in SQL: what aigw_store_vt says, each of them inside one transaction, which is the caller's. Errors as there; APR_EAGAIN: the transaction is lost. */
#ifndef AIGW_SQL_TASK_H
#define AIGW_SQL_TASK_H

#include "aigw_store.h"
#include "sql.h"

apr_status_t aigw_sql_task_create(aigw_sql_t *sql, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                  const aigw_task_t **task);
apr_status_t aigw_sql_task_get(aigw_sql_t *sql, apr_pool_t *p, const char *id, const char *owner, int with, const aigw_task_t **task);
apr_status_t aigw_sql_task_look(aigw_sql_t *sql, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks);
apr_status_t aigw_sql_task_list(aigw_sql_t *sql, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                                aigw_task_page_t *page);
apr_status_t aigw_sql_task_cancel(aigw_sql_t *sql, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task);
apr_status_t aigw_sql_task_claim(aigw_sql_t *sql, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                                 const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n);
apr_status_t aigw_sql_task_beat(aigw_sql_t *sql, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease);
apr_status_t aigw_sql_task_end(aigw_sql_t *sql, apr_pool_t *p, aigw_task_end_t *ends, int n);
apr_status_t aigw_sql_task_sweep(aigw_sql_t *sql, apr_pool_t *p, int attempts, const char *error, int *more);
apr_status_t aigw_sql_task_count(aigw_sql_t *sql, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks);

/* sql_callback.c */
apr_status_t aigw_sql_callback_add(aigw_sql_t *sql, apr_pool_t *p, const char *task, const char *url);
apr_status_t aigw_sql_callback_claim(aigw_sql_t *sql, apr_pool_t *p, int max, apr_interval_time_t lease, aigw_callback_t *callbacks,
                                     int *n);
apr_status_t aigw_sql_callback_tried(aigw_sql_t *sql, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next);

#endif
