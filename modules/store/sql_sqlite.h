/* A connection to a SQLite file. */
#ifndef AIGW_SQL_SQLITE_H
#define AIGW_SQL_SQLITE_H

#include "sql.h"

#include <sqlite3.h>

/* sync_full: a commit is on the disk when it is told. patience: how long a statement waits for another process's transaction, microseconds. Closed with p, by the thread that destroys it.
 * NULL: *why says what SQLite said, in p. */
aigw_sql_t *aigw_sql_sqlite_open(apr_pool_t *p, const char *path, int sync_full, apr_interval_time_t patience, const char **why);

/* What the connection said last, for the log. */
const char *aigw_sql_sqlite_error(const aigw_sql_t *sql);

#endif
