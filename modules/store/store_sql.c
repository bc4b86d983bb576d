#include "store_sql.h"
#include "sql_schema.h"
#include "sql_task.h"

#include <http_log.h>

APLOG_USE_MODULE(aigw);

/* One struct of arguments and one step for each: the work may run in another thread. */

/* ------------------------------------------------------------------ task_create */

typedef struct task_create_t {
    const aigw_task_t *from;
    const aigw_task_once_t *once;
    int max;
    const aigw_task_t **task;
} task_create_t;

static apr_status_t task_create(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_create_t *a = baton;

    return aigw_sql_task_create(sql, p, a->from, a->once, a->max, a->task);
}

apr_status_t aigw_store_sql_task_create(aigw_store_t *store, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                        const aigw_task_t **task)
{
    task_create_t args = {from, once, max, task};

    return store->sql->write(store, p, task_create, &args);
}

/* ------------------------------------------------------------------ task_get */

typedef struct task_get_t {
    const char *id;
    const char *owner;
    int with;
    const aigw_task_t **task;
} task_get_t;

static apr_status_t task_get(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_get_t *a = baton;

    return aigw_sql_task_get(sql, p, a->id, a->owner, a->with, a->task);
}

apr_status_t aigw_store_sql_task_get(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, int with,
                                     const aigw_task_t **task)
{
    task_get_t args = {id, owner, with, task};

    return store->sql->read(store, p, task_get, &args);
}

/* ------------------------------------------------------------------ task_look */

typedef struct task_look_t {
    const char *const *ids;
    int n;
    const aigw_task_t **tasks;
} task_look_t;

static apr_status_t task_look(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_look_t *a = baton;

    return aigw_sql_task_look(sql, p, a->ids, a->n, a->tasks);
}

apr_status_t aigw_store_sql_task_look(aigw_store_t *store, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks)
{
    task_look_t args = {ids, n, tasks};

    return store->sql->read(store, p, task_look, &args);
}

/* ------------------------------------------------------------------ task_list */

typedef struct task_list_t {
    const char *owner;
    int state;
    int limit;
    const char *cursor;
    aigw_task_page_t *page;
} task_list_t;

static apr_status_t task_list(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_list_t *a = baton;

    return aigw_sql_task_list(sql, p, a->owner, a->state, a->limit, a->cursor, a->page);
}

apr_status_t aigw_store_sql_task_list(aigw_store_t *store, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                                      aigw_task_page_t *page)
{
    task_list_t args = {owner, state, limit, cursor, page};

    return store->sql->read(store, p, task_list, &args);
}

/* ------------------------------------------------------------------ task_cancel */

typedef struct task_cancel_t {
    const char *id;
    const char *owner;
    const aigw_task_t **task;
} task_cancel_t;

static apr_status_t task_cancel(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_cancel_t *a = baton;

    return aigw_sql_task_cancel(sql, p, a->id, a->owner, a->task);
}

apr_status_t aigw_store_sql_task_cancel(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task)
{
    task_cancel_t args = {id, owner, task};

    return store->sql->write(store, p, task_cancel, &args);
}

/* ------------------------------------------------------------------ task_claim */

typedef struct task_claim_t {
    const char *holder;
    int max;
    apr_interval_time_t lease;
    const aigw_task_t **tasks;
    aigw_task_lease_t *leases;
    int *n;
    int whole; /* all of it was done, and only whether it is kept is not known */
} task_claim_t;

static apr_status_t task_claim(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_claim_t *a = baton;
    const apr_status_t rv = aigw_sql_task_claim(sql, p, a->holder, a->max, a->lease, a->tasks, a->leases, a->n);

    a->whole = rv == APR_SUCCESS;
    return rv;
}

apr_status_t aigw_store_sql_task_claim(aigw_store_t *store, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                                       const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n)
{
    task_claim_t args = {holder, max, lease, tasks, leases, n, 0};
    apr_status_t rv;

    *n = 0;
    rv = store->sql->write(store, p, task_claim, &args);
    *n = rv == APR_SUCCESS || args.whole ? *n : 0;
    return rv;
}

/* ------------------------------------------------------------------ task_beat */

typedef struct task_beat_t {
    aigw_task_beat_t *beats;
    int n;
    apr_interval_time_t lease;
} task_beat_t;

static apr_status_t task_beat(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_beat_t *a = baton;

    return aigw_sql_task_beat(sql, p, a->beats, a->n, a->lease);
}

apr_status_t aigw_store_sql_task_beat(aigw_store_t *store, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease)
{
    task_beat_t args = {beats, n, lease};

    return store->sql->write(store, p, task_beat, &args);
}

/* ------------------------------------------------------------------ task_end */

typedef struct task_end_t {
    aigw_task_end_t *ends;
    int n;
} task_end_t;

static apr_status_t task_end(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_end_t *a = baton;

    return aigw_sql_task_end(sql, p, a->ends, a->n);
}

apr_status_t aigw_store_sql_task_end(aigw_store_t *store, apr_pool_t *p, aigw_task_end_t *ends, int n)
{
    task_end_t args = {ends, n};

    return store->sql->write(store, p, task_end, &args);
}

/* ------------------------------------------------------------------ task_sweep */

typedef struct task_sweep_t {
    int attempts;
    const char *error;
    int *more;
} task_sweep_t;

static apr_status_t task_sweep(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    task_sweep_t *a = baton;

    return aigw_sql_task_sweep(sql, p, a->attempts, a->error, a->more);
}

apr_status_t aigw_store_sql_task_sweep(aigw_store_t *store, apr_pool_t *p, int attempts, const char *error, int *more)
{
    task_sweep_t args = {attempts, error, more};

    return store->sql->write(store, p, task_sweep, &args);
}

/* ------------------------------------------------------------------ callback_claim */

typedef struct callback_claim_t {
    int max;
    apr_interval_time_t lease;
    aigw_callback_t *callbacks;
    int *n;
} callback_claim_t;

static apr_status_t callback_claim(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    callback_claim_t *a = baton;

    return aigw_sql_callback_claim(sql, p, a->max, a->lease, a->callbacks, a->n);
}

apr_status_t aigw_store_sql_callback_claim(aigw_store_t *store, apr_pool_t *p, int max, apr_interval_time_t lease,
                                           aigw_callback_t *callbacks, int *n)
{
    callback_claim_t args = {max, lease, callbacks, n};

    return store->sql->write(store, p, callback_claim, &args);
}

/* ------------------------------------------------------------------ callback_tried */

typedef struct callback_tried_t {
    const aigw_callback_t *callback;
    apr_interval_time_t next;
} callback_tried_t;

static apr_status_t callback_tried(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    callback_tried_t *a = baton;

    return aigw_sql_callback_tried(sql, p, a->callback, a->next);
}

apr_status_t aigw_store_sql_callback_tried(aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next)
{
    callback_tried_t args = {callback, next};

    return store->sql->write(store, p, callback_tried, &args);
}

/* ------------------------------------------------------------------ count */

typedef struct count_t {
    apr_int64_t *states;
    apr_int64_t *callbacks;
} count_t;

static apr_status_t count(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    count_t *a = baton;

    return aigw_sql_task_count(sql, p, a->states, a->callbacks);
}

apr_status_t aigw_store_sql_count(aigw_store_t *store, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks)
{
    count_t args = {states, callbacks};

    return store->sql->read(store, p, count, &args);
}

/* ------------------------------------------------------------------ ping */

static apr_status_t nothing(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    const aigw_task_t *task;
    const apr_status_t rv = aigw_sql_task_get(sql, p, "", "", 0, &task);

    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

apr_status_t aigw_store_sql_ping(aigw_store_t *store)
{
    apr_pool_t *p;
    apr_status_t rv = apr_pool_create_unmanaged(&p);

    if (rv == APR_SUCCESS) {
        rv = store->sql->read(store, p, nothing, NULL);
        apr_pool_destroy(p);
    }
    return rv;
}

/* ------------------------------------------------------------------ the log */

void aigw_store_sql_refused(server_rec *s, const char *who, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0502: the store: %s refuses a statement: %s", who, why);
}

void aigw_store_sql_newer(server_rec *s, int level, const char *where, int found)
{
    ap_log_error(APLOG_MARK, level, 0, s,
                 "AIGW0504: AIGWStore: the tables in %s were made by a newer mod_aigw (version %d, this one knows %d): install that one, "
                 "or name another "
                 "place",
                 where, found, aigw_sql_schema_version());
}

void aigw_store_sql_no_tables(server_rec *s, const char *where, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                 "AIGW0505: AIGWStore: the tables in %s cannot be made or brought up to date: %s: may this user create tables there?",
                 where, why);
}

void aigw_store_sql_not_opened(server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0506: no thread or no memory for the store in this child: it refuses what needs it");
}
