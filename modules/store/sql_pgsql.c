#include "sql_pgsql.h"
#include "aigw_clock.h"

#include <apr_strings.h>
#include <libpq-fe.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 16

typedef struct pgsql_t {
    aigw_sql_t sql;
    PGconn *db;
    char prepared[AIGW_SQL_STATEMENTS];
    apr_interval_time_t timeout;
    int broken; /* an answer may still come: not to be used again */
    int collided;
} pgsql_t;

/* ------------------------------------------------------------------ waiting */

/* 1: the socket is ready. 0: the time is up. */
static int wait_for(const pgsql_t *self, short events, apr_time_t until)
{
    struct pollfd fd = {.fd = PQsocket(self->db), .events = events};
    apr_interval_time_t left;
    int n;

    do { /* a signal (prefork's main thread gets some) is no answer */
        left = until - aigw_clock_now();
        n = fd.fd >= 0 && left > 0 ? poll(&fd, 1, (int)((left + 999) / 1000)) : 0;
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* The last result of what was sent; NULL: none came in time, or the connection is gone. */
static PGresult *receive(pgsql_t *self)
{
    const apr_time_t until = aigw_clock_now() + self->timeout;
    PGresult *last = NULL, *next;
    int unsent;

    while ((unsent = PQflush(self->db)) > 0) {
        if (!wait_for(self, POLLIN | POLLOUT, until) || !PQconsumeInput(self->db)) {
            break;
        }
    }
    while (unsent == 0) {
        if (PQisBusy(self->db)) {
            if (!wait_for(self, POLLIN, until) || !PQconsumeInput(self->db)) {
                break;
            }
        }
        else if ((next = PQgetResult(self->db)) != NULL) {
            PQclear(last);
            last = next;
        }
        else {
            return last;
        }
    }
    PQclear(last);
    self->broken = 1;
    return NULL;
}

/* ------------------------------------------------------------------ statements */

/* Class 40: to be tried again (deadlock, serialization); 53: no resources, disk full; 55: not now; 57: shut down; 58: system; 08: connection (PostgreSQL manual, appendix A). */
static apr_status_t status_of(pgsql_t *self, const PGresult *result)
{
    const char *state;

    self->collided = 0;
    if (!result) {
        return APR_EAGAIN;
    }
    if (PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK) {
        return APR_SUCCESS;
    }
    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    self->collided = state && !strncmp(state, "40", 2);
    if (!state || PQstatus(self->db) == CONNECTION_BAD || !strncmp(state, "40", 2) || !strncmp(state, "53", 2) ||
        !strncmp(state, "55", 2) || !strncmp(state, "57", 2) || !strncmp(state, "58", 2) || !strncmp(state, "08", 2) ||
        !strcmp(state, "25006")) { /* read only: a standby */
        return APR_EAGAIN;
    }
    return APR_EGENERAL;
}

static const char *expand(apr_pool_t *p, const char *text)
{
    return aigw_sql_expand(p, text, "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint", "FOR UPDATE SKIP LOCKED", "BIGINT");
}

static apr_status_t prepare(pgsql_t *self, apr_pool_t *p, const aigw_sql_statement_t *statement, const char *name)
{
    PGresult *result;
    apr_status_t rv;

    if (self->prepared[statement->number]) {
        return APR_SUCCESS;
    }
    if (!PQsendPrepare(self->db, name, expand(p, statement->text), 0, NULL)) {
        return APR_EAGAIN;
    }
    result = receive(self);
    rv = status_of(self, result);
    PQclear(result);
    self->prepared[statement->number] = rv == APR_SUCCESS;
    return rv;
}

static const char *text_of(apr_pool_t *p, const aigw_sql_value_t *value)
{
    switch (value->kind) {
    case AIGW_SQL_INT:
        return apr_psprintf(p, "%" APR_INT64_T_FMT, value->n);
    case AIGW_SQL_REAL:
        return apr_psprintf(p, "%.17g", value->d);
    case AIGW_SQL_TEXT:
        return value->s;
    default:
        return NULL;
    }
}

#define OID_INT8   20
#define OID_INT4   23
#define OID_FLOAT8 701

static aigw_sql_value_t read_cell(const PGresult *result, int row, int column, apr_pool_t *p)
{
    const char *text = PQgetvalue(result, row, column);

    if (PQgetisnull(result, row, column)) {
        return aigw_sql_text(NULL);
    }
    switch (PQftype(result, column)) {
    case OID_INT8:
    case OID_INT4:
        return aigw_sql_int(apr_strtoi64(text, NULL, 10));
    case OID_FLOAT8:
        return aigw_sql_real(strtod(text, NULL));
    default:
        return aigw_sql_text(apr_pstrmemdup(p, text, (apr_size_t)PQgetlength(result, row, column)));
    }
}

static void read_rows(const PGresult *result, apr_pool_t *p, aigw_sql_rows_t *rows)
{
    aigw_sql_value_t *cells;
    int i;

    rows->count = PQntuples(result);
    rows->columns = PQnfields(result);
    rows->changed = apr_strtoi64(PQcmdTuples((PGresult *)result), NULL, 10);
    rows->cells = cells = apr_palloc(p, (apr_size_t)(rows->count * rows->columns + 1) * sizeof *cells);
    for (i = 0; i < rows->count * rows->columns; i++) {
        cells[i] = read_cell(result, i / rows->columns, i % rows->columns, p);
    }
}

static apr_status_t run(aigw_sql_t *sql, apr_pool_t *p, const aigw_sql_statement_t *statement, const aigw_sql_value_t *args, int nargs,
                        aigw_sql_rows_t *rows)
{
    pgsql_t *self = (pgsql_t *)sql;
    const char *values[ARGS_MAX], *name = apr_psprintf(p, "aigw_%d", statement->number);
    apr_status_t rv = nargs <= ARGS_MAX ? prepare(self, p, statement, name) : APR_EGENERAL;
    PGresult *result;
    int i;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (i = 0; i < nargs; i++) {
        values[i] = text_of(p, &args[i]);
    }
    if (!PQsendQueryPrepared(self->db, name, nargs, values, NULL, NULL, 0)) {
        return APR_EAGAIN;
    }
    result = receive(self);
    rv = status_of(self, result);
    if (rv == APR_SUCCESS && rows) {
        read_rows(result, p, rows);
    }
    PQclear(result);
    return rv;
}

static apr_status_t script(aigw_sql_t *sql, apr_pool_t *p, const char *text)
{
    pgsql_t *self = (pgsql_t *)sql;
    PGresult *result;
    apr_status_t rv;

    if (!PQsendQuery(self->db, expand(p, text))) {
        return APR_EAGAIN;
    }
    result = receive(self);
    rv = status_of(self, result);
    PQclear(result);
    return rv;
}

/* ------------------------------------------------------------------ the connection */

static apr_status_t close_it(void *data)
{
    PQfinish(((pgsql_t *)data)->db);
    return APR_SUCCESS;
}

static void ignore_notice(void *arg, const PGresult *result)
{
}

/* The first line, without what libpq puts around it. */
static const char *first_line(apr_pool_t *p, const char *text)
{
    return apr_pstrmemdup(p, text, strcspn(text, "\n"));
}

static int connect_in_time(pgsql_t *self)
{
    const apr_time_t until = aigw_clock_now() + self->timeout;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    while (PQstatus(self->db) != CONNECTION_BAD && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
        if (!wait_for(self, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until)) {
            return 0;
        }
        state = PQconnectPoll(self->db);
    }
    return state == PGRES_POLLING_OK;
}

aigw_sql_t *aigw_sql_pgsql_open(apr_pool_t *p, const char *conninfo, const char *password, apr_interval_time_t timeout, const char **why)
{
    static const aigw_sql_vt vt = {"pgsql", run, script};
    /* the first is taken apart; those behind it win */
    const char *const keywords[] = {"dbname", "password", "fallback_application_name", "client_encoding", NULL};
    const char *const values[] = {conninfo, password, "mod_aigw", "UTF8", NULL};
    pgsql_t *self = apr_pcalloc(p, sizeof *self);

    self->sql.vt = &vt;
    self->timeout = timeout;
    self->db = PQconnectStartParams(keywords, values, 1);
    if (!self->db) {
        *why = "out of memory";
        return NULL;
    }
    apr_pool_cleanup_register(p, self, close_it, apr_pool_cleanup_null);
    PQsetNoticeReceiver(self->db, ignore_notice, NULL);
    if (!connect_in_time(self)) {
        *why = PQstatus(self->db) == CONNECTION_BAD ? first_line(p, PQerrorMessage(self->db)) : "no answer in time";
        return NULL;
    }
    PQsetnonblocking(self->db, 1);
    return &self->sql;
}

const char *aigw_sql_pgsql_fault(apr_pool_t *p, const char *conninfo)
{
    char *said = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &said), *option;
    const char *fault = options ? NULL : said ? first_line(p, said) : "out of memory";

    for (option = options; option && option->keyword; option++) {
        if (!strcmp(option->keyword, "password") && option->val) {
            fault = "a password does not stand in it: write password=env:NAME, file:/path or exec:/path/to/command behind it";
        }
    }
    PQfreemem(said);
    PQconninfoFree(options);
    return fault;
}

const char *aigw_sql_pgsql_error(apr_pool_t *p, const aigw_sql_t *sql)
{
    const pgsql_t *self = (const pgsql_t *)sql;

    return self->broken ? "no answer in time" : first_line(p, PQerrorMessage(self->db));
}

int aigw_sql_pgsql_usable(const aigw_sql_t *sql)
{
    const pgsql_t *self = (const pgsql_t *)sql;

    return !self->broken && PQstatus(self->db) == CONNECTION_OK && PQtransactionStatus(self->db) == PQTRANS_IDLE;
}

int aigw_sql_pgsql_collided(const aigw_sql_t *sql)
{
    return ((const pgsql_t *)sql)->collided;
}

int aigw_sql_pgsql_closed(const aigw_sql_t *sql)
{
    return PQstatus(((const pgsql_t *)sql)->db) == CONNECTION_BAD;
}
