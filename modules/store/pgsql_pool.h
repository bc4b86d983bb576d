/* The connections of a child to PostgreSQL: as many as are used at the same time, up to a bound; the one used last is used next. Nothing is connected under the lock.
 *
 * Thread: any.
 */
#ifndef AIGW_PGSQL_POOL_H
#define AIGW_PGSQL_POOL_H

#include "sql.h"

typedef struct aigw_pgsql_pool_t aigw_pgsql_pool_t;

typedef struct aigw_pgsql_options_t {
    const char *conninfo, *password;
    apr_interval_time_t timeout; /* of connecting, of each statement, and of waiting for a connection, microseconds */
    int max;                     /* connections, 1.. */
} aigw_pgsql_options_t;

/* It ends with p. NULL: no memory. */
aigw_pgsql_pool_t *aigw_pgsql_pool_make(apr_pool_t *p, const aigw_pgsql_options_t *options);

/* NULL: *why says why not, in p. */
aigw_sql_t *aigw_pgsql_pool_take(aigw_pgsql_pool_t *pool, apr_pool_t *p, const char **why);

/* Kept, if it can be used again. */
void aigw_pgsql_pool_give(aigw_pgsql_pool_t *pool, aigw_sql_t *sql);

#endif
