/* What the two SQL databases have in common: a connection, statements that are prepared once, values, rows. The statements (sql_task.c, sql_schema.c) are written once for both; where the languages differ
 * there is a word in braces:
 *
 *     {now}     microseconds since 1970 by the database's clock
 *     {skip}    rows that another transaction has are passed over (FOR UPDATE SKIP LOCKED; in SQLite there is one writer)
 *     {bigint}  a type for 64 bits
 *
 * Thread: one at a time uses a connection.
 */
#ifndef AIGW_SQL_H
#define AIGW_SQL_H

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

typedef enum { AIGW_SQL_NULL, AIGW_SQL_INT, AIGW_SQL_REAL, AIGW_SQL_TEXT } aigw_sql_kind_e;

typedef struct aigw_sql_value_t {
    aigw_sql_kind_e kind;
    apr_int64_t n;
    double d;
    const char *s; /* with a NUL behind it */
} aigw_sql_value_t;

/* $1, $2, … in the text. Constant; its address is its name: a connection prepares it when it first sees it. */
typedef struct aigw_sql_statement_t {
    const char *text;
    int number; /* 0..AIGW_SQL_STATEMENTS-1, of each statement its own */
} aigw_sql_statement_t;

#define AIGW_SQL_STATEMENTS 64

/* What a statement gave, in the pool. */
typedef struct aigw_sql_rows_t {
    int count, columns;
    const aigw_sql_value_t *cells; /* row by row */
    apr_int64_t changed;           /* rows that were inserted, updated or deleted */
} aigw_sql_rows_t;

typedef struct aigw_sql_t aigw_sql_t;

typedef struct aigw_sql_vt {
    const char *name;
    /* APR_SUCCESS; APR_EAGAIN: away, full or busy, and the transaction is lost; APR_EGENERAL: a mistake of ours, logged. rows may be NULL. */
    apr_status_t (*run)(aigw_sql_t *sql, apr_pool_t *p, const aigw_sql_statement_t *statement, const aigw_sql_value_t *args, int nargs,
                        aigw_sql_rows_t *rows);
    /* Several statements without arguments, ended by semicolons: for the schema. */
    apr_status_t (*script)(aigw_sql_t *sql, apr_pool_t *p, const char *text);
} aigw_sql_vt;

struct aigw_sql_t {
    const aigw_sql_vt *vt;
};

/* The text with the words in braces replaced, in p. now, skip, bigint: what stands for them. */
const char *aigw_sql_expand(apr_pool_t *p, const char *text, const char *now, const char *skip, const char *bigint);

aigw_sql_value_t aigw_sql_int(apr_int64_t n);
aigw_sql_value_t aigw_sql_real(double d);
aigw_sql_value_t aigw_sql_text(const char *s); /* NULL: null */

/* A cell of a row. */
const aigw_sql_value_t *aigw_sql_cell(const aigw_sql_rows_t *rows, int row, int column);
apr_int64_t aigw_sql_cell_int(const aigw_sql_rows_t *rows, int row, int column);  /* null: 0 */
const char *aigw_sql_cell_text(const aigw_sql_rows_t *rows, int row, int column); /* null: NULL */
double aigw_sql_cell_real(const aigw_sql_rows_t *rows, int row, int column);

#endif
