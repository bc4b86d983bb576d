/* What the files of sql_*.c share: the numbers of their statements, and how a row becomes a task. */
#ifndef AIGW_SQL_TASK_ROW_H
#define AIGW_SQL_TASK_ROW_H

#include "aigw_store.h"
#include "sql.h"

#define AIGW_SQL_TASK_FEW                                                                                                                  \
    "id, owner, server, identity, endpoint, model, priority, state, attempts, cancelling, progress, tokens, error, usage, created, "       \
    "started, completed, expires, ttl, callback_url, lease_number"
#define AIGW_SQL_TASK_MANY AIGW_SQL_TASK_FEW ", request, result"

/* 0 and 1 are sql_schema.c's. */
enum {
    ONCE_FORGET = 2,
    ONCE_ADD,
    ONCE_GET,
    OWNER_ADD,
    OWNER_COUNT,
    TASK_ADD,
    TASK_GET,
    TASK_GET_MANY,
    TASK_LOOK,
    GONE_GET,
    TASK_PAGE,
    TASK_CANCEL,
    TASK_CANCELLING,
    OWNER_LESS,
    OWNER_TURN,
    TASK_CLAIM,
    OWNER_SERVED,
    OWNER_MEND,
    TASK_BEAT,
    TASK_END,
    TASK_BACK,
    TASK_ENDED,
    LEASE_OVER,
    LEASE_BACK,
    LEASE_END,
    TTL_OVER,
    GONE_ADD,
    TASK_DROP,
    GONE_DROP,
    ONCE_DROP,
    OWNER_DROP,
    TASK_COUNT,
    CALLBACK_COUNT,
    CALLBACK_ADD,
    CALLBACK_NEXT,
    CALLBACK_CLAIM,
    CALLBACK_LATER,
    CALLBACK_DONE
};

#define AIGW_SQL_STATEMENT(name, number, text) static const aigw_sql_statement_t name = {text, number}

/* In a function that has sql and p: args is an array. */
#define AIGW_SQL_RUN(statement, args, rows) sql->vt->run(sql, p, &(statement), (args), (int)(sizeof(args) / sizeof *(args)), (rows))

/* A row of AIGW_SQL_TASK_FEW or AIGW_SQL_TASK_MANY, in p; its strings are those of the rows. */
const aigw_task_t *aigw_sql_task_of(const aigw_sql_rows_t *rows, int row, apr_pool_t *p);

#endif
