/* The tables, and how older ones become newer ones. */
#ifndef AIGW_SQL_SCHEMA_H
#define AIGW_SQL_SCHEMA_H

#include "sql.h"

/* Inside a transaction that nobody else has part in: makes the tables, or brings them up to date. APR_SUCCESS; APR_INCOMPLETE: they are of a newer version than ours, which is left alone; *found: theirs. */
apr_status_t aigw_sql_schema_update(aigw_sql_t *sql, apr_pool_t *p, int *found);

/* The version that this program knows. */
int aigw_sql_schema_version(void);

#endif
