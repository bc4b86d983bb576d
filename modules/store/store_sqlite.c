/* The store in one SQLite file: the embedded default. Each child has one writer thread (sqlite_writer.h) and one connection to read; readers and the writers of other children do not hold each other up
 * (write-ahead log). */
#include "stores.h"
#include "store_sql.h"
#include "sql_schema.h"
#include "sql_sqlite.h"
#include "sqlite_file.h"
#include "sqlite_writer.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_config.h>
#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw);

typedef struct sqlite_store_t {
    aigw_store_t head;
    aigw_sqlite_options_t options;
    aigw_sqlite_writer_t *writer;
    /* to read */
    apr_thread_mutex_t *mutex;
    apr_pool_t *pool, *connection;
    aigw_sql_t *sql; /* NULL: it is not open */
} sqlite_store_t;

/* ------------------------------------------------------------------ configuration */

static const char *path_of(apr_pool_t *p, const char *args)
{
    return ap_server_root_relative(p, args);
}

static const char *check(apr_pool_t *p, const char *args)
{
    return *args && path_of(p, args) ? NULL : "sqlite: the path of a file is missing: write AIGWStore sqlite:/var/lib/aigw/aigw.db";
}

static apr_status_t check_config(server_rec *main_server, apr_pool_t *p, const char *args)
{
    return aigw_sqlite_file_check(main_server, p, path_of(p, args));
}

/* ------------------------------------------------------------------ before there are children */

/* As the user that the children will be, so that what it makes is theirs, and so that a link that somebody put there leads no further than that user may go. Returns an exit status. */
static int prepare_as_user(apr_pool_t *p, const aigw_store_options_t *options, const char *path)
{
    server_rec *s = options->server;
    const char *why = NULL;
    aigw_sql_t *sql;
    apr_status_t rv;
    int found = 0;

    umask(077);
    if (!(sql = aigw_sql_sqlite_open(p, path, 1, options->timeout, &why))) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "AIGW0503: AIGWStore: %s cannot be opened: %s: it must be a file of SQLite, and its folder of the user that httpd's "
                     "children run as",
                     path, why);
        return 1;
    }
    rv = sql->vt->script(sql, p, "BEGIN IMMEDIATE");
    if (rv == APR_SUCCESS) {
        rv = aigw_sql_schema_update(sql, p, &found);
    }
    if (rv == APR_SUCCESS) {
        rv = sql->vt->script(sql, p, "COMMIT");
    }
    if (rv == APR_INCOMPLETE) {
        aigw_store_sql_newer(s, APLOG_EMERG, path, found);
    }
    else if (rv != APR_SUCCESS) {
        aigw_store_sql_no_tables(s, path, aigw_sql_sqlite_error(sql));
    }
    return rv != APR_SUCCESS;
}

static apr_status_t prepare(apr_pool_t *p, const char *args, const aigw_store_options_t *options)
{
    const char *path = path_of(p, args);
    int status = 1;
    pid_t pid;

    aigw_sqlite_file_make_folder(p, path);
    if ((pid = fork()) == 0) {
        _exit(aigw_sqlite_file_become_user() ? prepare_as_user(p, options, path) : 1);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? APR_SUCCESS : APR_EGENERAL;
}

/* ------------------------------------------------------------------ in the child */

/* The mutex is held. */
static apr_status_t read_now(sqlite_store_t *self, apr_pool_t *p, aigw_sql_work_fn fn, void *baton)
{
    const char *why;
    apr_status_t rv;

    if (!self->sql) {
        if (apr_pool_create(&self->connection, self->pool) != APR_SUCCESS) {
            return APR_EAGAIN;
        }
        self->sql = aigw_sql_sqlite_open(self->connection, self->options.path, 0, self->options.patience, &why);
    }
    rv = self->sql ? self->sql->vt->script(self->sql, p, "BEGIN") : APR_EAGAIN;
    if (rv == APR_SUCCESS) {
        rv = fn(self->sql, p, baton);
        if (self->sql->vt->script(self->sql, p, "COMMIT") != APR_SUCCESS && rv == APR_SUCCESS) {
            rv = APR_EAGAIN;
        }
    }
    if (rv == APR_EGENERAL) {
        aigw_store_sql_refused(self->options.server, "SQLite", aigw_sql_sqlite_error(self->sql));
    }
    if (rv == APR_EAGAIN || rv == APR_EGENERAL) {
        self->sql = NULL;
        apr_pool_destroy(self->connection);
    }
    return rv;
}

static apr_status_t do_read(aigw_store_t *store, apr_pool_t *p, aigw_sql_work_fn fn, void *baton)
{
    sqlite_store_t *self = (sqlite_store_t *)store;
    sigset_t before;
    apr_status_t rv;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(self->mutex);
    rv = read_now(self, p, fn, baton);
    apr_thread_mutex_unlock(self->mutex);
    aigw_signals_release(&before);
    return rv;
}

static apr_status_t do_write(aigw_store_t *store, apr_pool_t *p, aigw_sql_work_fn fn, void *baton)
{
    return aigw_sqlite_writer_do(((sqlite_store_t *)store)->writer, p, fn, baton);
}

static aigw_store_t *open_store(apr_pool_t *p, const char *args, const aigw_store_options_t *options)
{
    static const aigw_store_sql_vt vt = {do_read, do_write};
    apr_pool_t *pool = aigw_own_pool(p);
    sqlite_store_t *self = pool ? apr_pcalloc(pool, sizeof *self) : NULL;

    if (self && apr_thread_mutex_create(&self->mutex, APR_THREAD_MUTEX_DEFAULT, pool) == APR_SUCCESS) {
        self->head.sql = &vt;
        self->pool = pool;
        self->options.path = path_of(pool, args);
        self->options.sync_full = options->sync_full;
        self->options.patience = options->timeout;
        self->options.server = options->server;
        self->writer = aigw_sqlite_writer_make(p, &self->options);
    }
    if (!self || !self->writer) {
        aigw_store_sql_not_opened(options->server);
        return NULL;
    }
    return &self->head;
}

const aigw_store_vt aigw_store_sqlite = {
    .name = "sqlite", .check = check, .check_config = check_config, .prepare = prepare, .open = open_store, AIGW_STORE_SQL_MEMBERS};
