/* The store in PostgreSQL: for several machines, or where there is one anyway. */
#include "stores.h"
#include "pgsql_pool.h"
#include "sql_pgsql.h"
#include "sql_schema.h"
#include "store_sql.h"
#include "aigw_own_pool.h"
#include "aigw_pin.h"

#include <http_log.h>
#include <apr_atomic.h>
#include <apr_strings.h>
#include <libpq-fe.h>

APLOG_USE_MODULE(aigw);

#define TRIES 8 /* where transactions collide, or connections were closed while they waited */
#define LOCK  "SELECT pg_advisory_xact_lock(4702111234474983745)" /* of ours: one process at a time makes the tables */

typedef struct pgsql_store_t {
    aigw_store_t head;
    server_rec *server;
    aigw_pgsql_pool_t *pool;
    volatile apr_uint32_t complained, ready; /* ready: the tables have been looked at */
} pgsql_store_t;

/* ------------------------------------------------------------------ configuration */

static const char *check(apr_pool_t *p, const char *args)
{
    const char *fault = *args ? aigw_sql_pgsql_fault(p, args) : "it is empty";

    return fault ? apr_pstrcat(p, "pgsql: ", fault,
                               " (as in AIGWStore \"pgsql:host=db.example.com dbname=aigw user=aigw\" password=env:AIGW_DB_PASSWORD)", NULL)
                 : NULL;
}

/* ------------------------------------------------------------------ transactions */

static apr_status_t transaction(aigw_sql_t *sql, apr_pool_t *p, const char *begin, aigw_sql_work_fn fn, void *baton)
{
    apr_status_t rv = sql->vt->script(sql, p, begin), undone;

    if (rv != APR_SUCCESS) { /* nothing was done: a connection that the server closed while it waited is no reason to give up */
        return aigw_sql_pgsql_closed(sql) ? APR_EINTR : rv;
    }
    rv = fn(sql, p, baton);
    if (rv == APR_SUCCESS) {
        return sql->vt->script(sql, p, "COMMIT");
    }
    undone = aigw_sql_pgsql_collided(sql);
    sql->vt->script(sql, p, "ROLLBACK");
    return undone ? APR_EINTR : rv;
}

static apr_status_t make_tables(aigw_sql_t *sql, apr_pool_t *p, void *baton)
{
    apr_status_t rv = sql->vt->script(sql, p, LOCK);

    return rv == APR_SUCCESS ? aigw_sql_schema_update(sql, p, baton) : rv;
}

/* A server that was away when httpd started may be empty. */
static apr_status_t look_at_tables(pgsql_store_t *self, aigw_sql_t *sql, apr_pool_t *p)
{
    int found = 0;
    apr_status_t rv;

    if (apr_atomic_read32(&self->ready)) {
        return APR_SUCCESS;
    }
    rv = transaction(sql, p, "BEGIN", make_tables, &found);
    if (rv == APR_SUCCESS) {
        apr_atomic_set32(&self->ready, 1);
    }
    else if (rv == APR_INCOMPLETE) {
        aigw_store_sql_newer(self->server, APLOG_CRIT, "PostgreSQL", found);
        rv = APR_EAGAIN;
    }
    return rv;
}

/* Once for as long as it lasts. */
static void complain(pgsql_store_t *self, const char *why)
{
    if (!apr_atomic_xchg32(&self->complained, 1)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, self->server,
                     "AIGW0507: the store: PostgreSQL cannot be asked: %s: what needs it is refused until it can", why);
    }
}

static apr_status_t try_once(pgsql_store_t *self, apr_pool_t *p, const char *begin, aigw_sql_work_fn fn, void *baton)
{
    const char *why = "";
    aigw_sql_t *sql = aigw_pgsql_pool_take(self->pool, p, &why);
    apr_status_t rv;

    if (!sql) {
        complain(self, why);
        return APR_EAGAIN;
    }
    rv = look_at_tables(self, sql, p);
    if (rv == APR_SUCCESS) {
        rv = transaction(sql, p, begin, fn, baton);
    }
    if (rv == APR_EAGAIN) {
        complain(self, aigw_sql_pgsql_error(p, sql));
    }
    else if (rv == APR_EGENERAL) {
        aigw_store_sql_refused(self->server, "PostgreSQL", aigw_sql_pgsql_error(p, sql));
    }
    else if (rv != APR_EINTR) {
        apr_atomic_set32(&self->complained, 0);
    }
    aigw_pgsql_pool_give(self->pool, sql);
    return rv;
}

static apr_status_t try_often(aigw_store_t *store, apr_pool_t *p, const char *begin, aigw_sql_work_fn fn, void *baton)
{
    apr_status_t rv = APR_EINTR;
    int i;

    for (i = 0; rv == APR_EINTR && i < TRIES; i++) {
        rv = try_once((pgsql_store_t *)store, p, begin, fn, baton);
    }
    return rv == APR_EINTR ? APR_EAGAIN : rv;
}

static apr_status_t do_read(aigw_store_t *store, apr_pool_t *p, aigw_sql_work_fn fn, void *baton)
{
    return try_often(store, p, "BEGIN READ ONLY", fn, baton);
}

static apr_status_t do_write(aigw_store_t *store, apr_pool_t *p, aigw_sql_work_fn fn, void *baton)
{
    return try_often(store, p, "BEGIN", fn, baton);
}

/* ------------------------------------------------------------------ start */

static apr_status_t prepare(apr_pool_t *p, const char *args, const aigw_store_options_t *options)
{
    server_rec *s = options->server;
    const char *why = "";
    aigw_sql_t *sql;
    apr_status_t rv;
    int found = 0;

    /* the Kerberos that libpq asks keeps something for each thread, and loses it when it is unloaded with this module: at each restart */
    aigw_pin((void (*)(void))PQconnectPoll);
    sql = aigw_sql_pgsql_open(p, args, options->password, options->timeout, &why);
    if (!sql) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0508: the store: PostgreSQL cannot be asked now: %s: httpd starts, and asks again when it is needed", why);
        return APR_SUCCESS;
    }
    rv = transaction(sql, p, "BEGIN", make_tables, &found);
    if (rv == APR_INCOMPLETE) {
        aigw_store_sql_newer(s, APLOG_EMERG, "PostgreSQL", found);
    }
    else if (rv != APR_SUCCESS) {
        aigw_store_sql_no_tables(s, "PostgreSQL", aigw_sql_pgsql_error(p, sql));
    }
    return rv;
}

static aigw_store_t *open_store(apr_pool_t *p, const char *args, const aigw_store_options_t *options)
{
    static const aigw_store_sql_vt vt = {do_read, do_write};
    apr_pool_t *own = aigw_own_pool(p);
    pgsql_store_t *self = own ? apr_pcalloc(own, sizeof *self) : NULL;
    const aigw_pgsql_options_t pool = {args, options->password, options->timeout, options->connections};

    if (self) {
        self->head.sql = &vt;
        self->server = options->server;
        self->pool = aigw_pgsql_pool_make(p, &pool);
    }
    if (!self || !self->pool) {
        aigw_store_sql_not_opened(options->server);
        return NULL;
    }
    return &self->head;
}

const aigw_store_vt aigw_store_pgsql = {.name = "pgsql", .check = check, .prepare = prepare, .open = open_store, AIGW_STORE_SQL_MEMBERS};
