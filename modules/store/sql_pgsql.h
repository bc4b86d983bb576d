/* A connection to PostgreSQL, each statement with a deadline: a server that was stopped, or a network that swallows, is given up. */
#ifndef AIGW_SQL_PGSQL_H
#define AIGW_SQL_PGSQL_H

#include "sql.h"

/* conninfo: of libpq, "host=… dbname=… user=…". password: NULL: none, or it is found as libpq finds it. NULL: *why says what libpq said, in p. Closed with p. timeout: of connecting, and of each statement,
 * microseconds. */
aigw_sql_t *aigw_sql_pgsql_open(apr_pool_t *p, const char *conninfo, const char *password, apr_interval_time_t timeout, const char **why);

/* NULL, or what is wrong with it as libpq reads it; a password in it is wrong too. In p. */
const char *aigw_sql_pgsql_fault(apr_pool_t *p, const char *conninfo);

/* What the connection said last, one line, for the log. In p. */
const char *aigw_sql_pgsql_error(apr_pool_t *p, const aigw_sql_t *sql);

/* 1: it can be used for another transaction. */
int aigw_sql_pgsql_usable(const aigw_sql_t *sql);

/* 1: the last statement failed because of what another transaction did at the same time: it may go well if it is begun again. */
int aigw_sql_pgsql_collided(const aigw_sql_t *sql);

/* 1: the server has closed it. */
int aigw_sql_pgsql_closed(const aigw_sql_t *sql);

#endif
