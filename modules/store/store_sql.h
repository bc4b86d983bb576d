/* The store on an SQL database: each of aigw_store_vt's functions as work inside one transaction. How transactions are made is the database's: one writer thread with batches (SQLite), a pool of connections
 * (PostgreSQL). */
#ifndef AIGW_STORE_SQL_H
#define AIGW_STORE_SQL_H

#include "aigw_store.h"
#include "sql.h"

/* What is done inside a transaction: APR_SUCCESS keeps it, all else takes it back. It may run more than once (a transaction that was lost is tried again), in another thread while the caller waits: so it writes
 * nothing but what it is asked for, and p is its own meanwhile. */
typedef apr_status_t (*aigw_sql_work_fn)(aigw_sql_t *sql, apr_pool_t *p, void *baton);

typedef struct aigw_store_sql_vt {
    /* Both wait until it is done. APR_EAGAIN as in aigw_store.h. */
    apr_status_t (*read)(aigw_store_t *store, apr_pool_t *p, aigw_sql_work_fn fn, void *baton);
    apr_status_t (*write)(aigw_store_t *store, apr_pool_t *p, aigw_sql_work_fn fn, void *baton);
} aigw_store_sql_vt;

/* The head of every SQL store. */
struct aigw_store_t {
    const aigw_store_sql_vt *sql;
};

/* Fills in all of aigw_store_vt but name, check, prepare, open. */
#define AIGW_STORE_SQL_MEMBERS                                                                                                             \
    .ping = aigw_store_sql_ping, .task_create = aigw_store_sql_task_create, .task_get = aigw_store_sql_task_get,                           \
    .task_look = aigw_store_sql_task_look, .task_list = aigw_store_sql_task_list, .task_cancel = aigw_store_sql_task_cancel,               \
    .task_claim = aigw_store_sql_task_claim, .task_beat = aigw_store_sql_task_beat, .task_end = aigw_store_sql_task_end,                   \
    .task_sweep = aigw_store_sql_task_sweep, .callback_claim = aigw_store_sql_callback_claim,                                              \
    .callback_tried = aigw_store_sql_callback_tried, .count = aigw_store_sql_count

apr_status_t aigw_store_sql_ping(aigw_store_t *store);
apr_status_t aigw_store_sql_task_create(aigw_store_t *store, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                        const aigw_task_t **task);
apr_status_t aigw_store_sql_task_get(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, int with,
                                     const aigw_task_t **task);
apr_status_t aigw_store_sql_task_look(aigw_store_t *store, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks);
apr_status_t aigw_store_sql_task_list(aigw_store_t *store, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                                      aigw_task_page_t *page);
apr_status_t aigw_store_sql_task_cancel(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task);
apr_status_t aigw_store_sql_task_claim(aigw_store_t *store, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                                       const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n);
apr_status_t aigw_store_sql_task_beat(aigw_store_t *store, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease);
apr_status_t aigw_store_sql_task_end(aigw_store_t *store, apr_pool_t *p, aigw_task_end_t *ends, int n);
apr_status_t aigw_store_sql_task_sweep(aigw_store_t *store, apr_pool_t *p, int attempts, const char *error, int *more);
apr_status_t aigw_store_sql_callback_claim(aigw_store_t *store, apr_pool_t *p, int max, apr_interval_time_t lease,
                                           aigw_callback_t *callbacks, int *n);
apr_status_t aigw_store_sql_callback_tried(aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next);
apr_status_t aigw_store_sql_count(aigw_store_t *store, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks);

/* What both log. Thread: any. who: "SQLite"; where: the file, or "PostgreSQL". */
void aigw_store_sql_refused(server_rec *s, const char *who, const char *why);      /* a mistake of ours, or somebody changed the tables */
void aigw_store_sql_newer(server_rec *s, int level, const char *where, int found); /* tables of a newer version */
void aigw_store_sql_no_tables(server_rec *s, const char *where, const char *why);
void aigw_store_sql_not_opened(server_rec *s);

#endif
