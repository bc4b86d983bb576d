#include "pgsql_pool.h"
#include "sql_pgsql.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

/* A connection, in a pool of its own, which hangs on no other: it may be made by one thread and closed by another. */
typedef struct connection_t {
    aigw_sql_t *sql;
    apr_pool_t *pool;
    struct connection_t *next; /* of those that wait, or are out */
} connection_t;

struct aigw_pgsql_pool_t {
    aigw_pgsql_options_t options;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *free;
    connection_t *waiting, *out;
    int n; /* all, those that are being made too */
};

static apr_status_t close_all(void *data)
{
    aigw_pgsql_pool_t *pool = data;
    connection_t *connection, *next;

    for (connection = pool->waiting; connection; connection = next) {
        next = connection->next;
        apr_pool_destroy(connection->pool);
    }
    return APR_SUCCESS;
}

aigw_pgsql_pool_t *aigw_pgsql_pool_make(apr_pool_t *p, const aigw_pgsql_options_t *options)
{
    apr_pool_t *own = aigw_own_pool(p);
    aigw_pgsql_pool_t *pool = own ? apr_pcalloc(own, sizeof *pool) : NULL;

    if (!pool || apr_thread_mutex_create(&pool->mutex, APR_THREAD_MUTEX_DEFAULT, own) != APR_SUCCESS ||
        apr_thread_cond_create(&pool->free, own) != APR_SUCCESS) {
        return NULL;
    }
    pool->options = *options;
    apr_pool_pre_cleanup_register(own, pool, close_all);
    return pool;
}

/* One that waits; or the right to make one, and NULL; *none: neither came in time. The mutex is held. */
static connection_t *wait_for_one(aigw_pgsql_pool_t *pool, int *none)
{
    connection_t *connection;

    *none = 0;
    while (!pool->waiting && pool->n >= pool->options.max && !*none) {
        *none = apr_thread_cond_timedwait(pool->free, pool->mutex, pool->options.timeout) != APR_SUCCESS && !pool->waiting &&
                pool->n >= pool->options.max;
    }
    if (!(connection = pool->waiting)) {
        pool->n += !*none;
        return NULL;
    }
    pool->waiting = connection->next;
    return connection;
}

static void lock(aigw_pgsql_pool_t *pool, sigset_t *before)
{
    aigw_signals_hold(before);
    apr_thread_mutex_lock(pool->mutex);
}

static void unlock(aigw_pgsql_pool_t *pool, const sigset_t *before)
{
    apr_thread_mutex_unlock(pool->mutex);
    aigw_signals_release(before);
}

static connection_t *make(const aigw_pgsql_pool_t *pool, apr_pool_t *p, const char **why)
{
    apr_pool_t *own = aigw_own_pool(NULL);
    connection_t *connection = own ? apr_pcalloc(own, sizeof *connection) : NULL;
    const char *said = "out of memory";

    if (connection) {
        connection->pool = own;
        connection->sql = aigw_sql_pgsql_open(own, pool->options.conninfo, pool->options.password, pool->options.timeout, &said);
    }
    if (!connection || !connection->sql) {
        *why = apr_pstrdup(p, said);
        if (own) {
            apr_pool_destroy(own);
        }
        return NULL;
    }
    return connection;
}

aigw_sql_t *aigw_pgsql_pool_take(aigw_pgsql_pool_t *pool, apr_pool_t *p, const char **why)
{
    connection_t *connection;
    sigset_t before;
    int none;

    lock(pool, &before);
    connection = wait_for_one(pool, &none);
    unlock(pool, &before);
    if (none) {
        *why = "all connections are in use";
        return NULL;
    }
    if (!connection) {
        connection = make(pool, p, why);
    }
    lock(pool, &before);
    if (connection) {
        connection->next = pool->out;
        pool->out = connection;
    }
    else {
        pool->n--;
        apr_thread_cond_signal(pool->free);
    }
    unlock(pool, &before);
    return connection ? connection->sql : NULL;
}

/* Out of the list of those that are out. */
static connection_t *find(aigw_pgsql_pool_t *pool, const aigw_sql_t *sql)
{
    connection_t **at = &pool->out, *found;

    while ((*at)->sql != sql) {
        at = &(*at)->next;
    }
    found = *at;
    *at = found->next;
    return found;
}

void aigw_pgsql_pool_give(aigw_pgsql_pool_t *pool, aigw_sql_t *sql)
{
    const int usable = aigw_sql_pgsql_usable(sql);
    connection_t *connection;
    sigset_t before;

    lock(pool, &before);
    connection = find(pool, sql);
    if (usable) {
        connection->next = pool->waiting;
        pool->waiting = connection;
    }
    else {
        pool->n--;
    }
    apr_thread_cond_signal(pool->free);
    unlock(pool, &before);
    if (!usable) {
        apr_pool_destroy(connection->pool);
    }
}
