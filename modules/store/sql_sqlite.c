#include "sql_sqlite.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <string.h>

/* Who commits when the log has so many pages (of 4 KB) writes them into the tables, and those who wait behind him wait for that too. With SQLite's own 1,000 that was more than one creation in a
 * hundred: 8,000 made the slowest of a hundred twice as fast and let in half as many again a second (bench/tasks). The log takes 32 MB of the disk for it. */
#define CHECKPOINT "8000"
#define PRAGMAS    "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = " CHECKPOINT "; PRAGMA foreign_keys = ON; "

typedef struct sqlite_t {
    aigw_sql_t sql;
    sqlite3 *db;
    sqlite3_stmt *prepared[AIGW_SQL_STATEMENTS];
    apr_interval_time_t patience;
    apr_time_t waiting_since; /* 0: it does not wait */
} sqlite_t;

/* ------------------------------------------------------------------ statements */

static void now(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    sqlite3_result_int64(context, apr_time_now());
}

static const char *expand(apr_pool_t *p, const char *text)
{
    char *sql = apr_pstrdup(p, aigw_sql_expand(p, text, "aigw_now()", "", "INTEGER")), *at;

    for (at = sql; (at = strchr(at, '$')) != NULL; at++) {
        *at = '?'; /* SQLite numbers those only */
    }
    return sql;
}

/* What can be mended by waiting, and what cannot. */
static apr_status_t status_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
        return APR_EAGAIN;
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return APR_SUCCESS;
    default:
        return APR_EGENERAL;
    }
}

static int bind_all(sqlite3_stmt *stmt, const aigw_sql_value_t *args, int nargs)
{
    int i, rc = SQLITE_OK;

    for (i = 0; rc == SQLITE_OK && i < nargs; i++) {
        switch (args[i].kind) {
        case AIGW_SQL_NULL:
            rc = sqlite3_bind_null(stmt, i + 1);
            break;
        case AIGW_SQL_INT:
            rc = sqlite3_bind_int64(stmt, i + 1, args[i].n);
            break;
        case AIGW_SQL_REAL:
            rc = sqlite3_bind_double(stmt, i + 1, args[i].d);
            break;
        case AIGW_SQL_TEXT:
            rc = sqlite3_bind_text64(stmt, i + 1, args[i].s, strlen(args[i].s), SQLITE_STATIC, SQLITE_UTF8);
            break;
        }
    }
    return rc;
}

static aigw_sql_value_t read_cell(sqlite3_stmt *stmt, int column, apr_pool_t *p)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        return aigw_sql_int(sqlite3_column_int64(stmt, column));
    case SQLITE_FLOAT:
        return aigw_sql_real(sqlite3_column_double(stmt, column));
    case SQLITE_NULL:
        return aigw_sql_text(NULL);
    default:
        return aigw_sql_text(apr_pstrdup(p, (const char *)sqlite3_column_text(stmt, column)));
    }
}

static int read_rows(sqlite3_stmt *stmt, apr_pool_t *p, apr_array_header_t *cells, int *count)
{
    int rc, i;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (i = 0; i < sqlite3_column_count(stmt); i++) {
            APR_ARRAY_PUSH(cells, aigw_sql_value_t) = read_cell(stmt, i, p);
        }
        ++*count;
    }
    return rc;
}

static apr_status_t run(aigw_sql_t *sql, apr_pool_t *p, const aigw_sql_statement_t *statement, const aigw_sql_value_t *args, int nargs,
                        aigw_sql_rows_t *rows)
{
    sqlite_t *self = (sqlite_t *)sql;
    sqlite3_stmt **stmt = &self->prepared[statement->number];
    apr_array_header_t *cells = apr_array_make(p, 32, sizeof(aigw_sql_value_t));
    int rc = SQLITE_OK, count = 0;

    if (!*stmt) {
        rc = sqlite3_prepare_v3(self->db, expand(p, statement->text), -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    }
    if (rc == SQLITE_OK && (rc = bind_all(*stmt, args, nargs)) == SQLITE_OK) {
        rc = read_rows(*stmt, p, cells, &count);
    }
    if (rows && rc == SQLITE_DONE) {
        rows->count = count;
        rows->columns = sqlite3_column_count(*stmt);
        rows->cells = (const aigw_sql_value_t *)cells->elts;
        rows->changed = sqlite3_stmt_readonly(*stmt) ? 0 : sqlite3_changes64(self->db);
    }
    if (*stmt) {
        sqlite3_reset(*stmt);
        sqlite3_clear_bindings(*stmt);
    }
    return status_of(rc);
}

static apr_status_t script(aigw_sql_t *sql, apr_pool_t *p, const char *text)
{
    /* what begins and ends transactions has no words in braces, and p may live as long as the connection */
    return status_of(sqlite3_exec(((sqlite_t *)sql)->db, strchr(text, '{') ? expand(p, text) : text, NULL, NULL, NULL));
}

/* ------------------------------------------------------------------ the connection */

/* Another process writes: for a moment, as each has its batches. The time between two batches of it is as short as its clients' way here and back: who looks once a millisecond misses it again and
 * again (with four processes the slowest of a hundred creations took 40 to 70 ms). SQLite's own handler would sleep up to 100 ms at a time. */
static int busy(void *data, int tries)
{
    sqlite_t *self = data;
    const apr_time_t t = apr_time_now();

    if (!tries) {
        self->waiting_since = t;
    }
    if (t - self->waiting_since > self->patience || t < self->waiting_since) {
        return 0;
    }
    apr_sleep(tries < 50 ? 100 : 1000);
    return 1;
}

static apr_status_t close_it(void *data)
{
    sqlite_t *self = data;
    int i;

    for (i = 0; i < AIGW_SQL_STATEMENTS; i++) {
        sqlite3_finalize(self->prepared[i]);
    }
    sqlite3_close(self->db);
    return APR_SUCCESS;
}

static const aigw_sql_vt vt = {"sqlite", run, script};

aigw_sql_t *aigw_sql_sqlite_open(apr_pool_t *p, const char *path, int sync_full, apr_interval_time_t patience, const char **why)
{
    sqlite_t *self = apr_pcalloc(p, sizeof *self);
    /* one thread at a time, by our own order */
    int rc =
        sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

    self->sql.vt = &vt;
    self->patience = patience;
    apr_pool_cleanup_register(p, self, close_it, apr_pool_cleanup_null);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(self->db, 1);
        sqlite3_busy_handler(self->db, busy, self);
        sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        rc = sqlite3_create_function_v2(self->db, "aigw_now", 0, SQLITE_UTF8, NULL, now, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(self->db, sync_full ? PRAGMAS "PRAGMA synchronous = FULL;" : PRAGMAS "PRAGMA synchronous = NORMAL;", NULL, NULL,
                          NULL);
    }
    if (rc != SQLITE_OK) {
        *why = apr_pstrdup(p, self->db ? sqlite3_errmsg(self->db) : sqlite3_errstr(rc));
        return NULL;
    }
    return &self->sql;
}

const char *aigw_sql_sqlite_error(const aigw_sql_t *sql)
{
    return sqlite3_errmsg(((const sqlite_t *)sql)->db);
}
