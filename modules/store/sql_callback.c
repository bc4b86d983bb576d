#include "sql_task.h"
#include "sql_task_row.h"

#include <apr_strings.h>

AIGW_SQL_STATEMENT(callback_add, CALLBACK_ADD,
                   "INSERT INTO aigw_callback (task, id, url, attempts, first, next, lease) VALUES ($1, $2, $3, 0, {now}, {now}, 0) ON "
                   "CONFLICT DO NOTHING");
AIGW_SQL_STATEMENT(callback_next, CALLBACK_NEXT, "SELECT task FROM aigw_callback WHERE next <= {now} ORDER BY next LIMIT $1 {skip}");
AIGW_SQL_STATEMENT(
    callback_claim, CALLBACK_CLAIM,
    "UPDATE aigw_callback SET attempts = attempts + 1, lease = lease + 1, next = {now} + $2 WHERE task = $1 AND next <= {now}"
    " RETURNING task, id, url, attempts, first, lease");
AIGW_SQL_STATEMENT(callback_later, CALLBACK_LATER, "UPDATE aigw_callback SET next = {now} + $3 WHERE task = $1 AND lease = $2");
AIGW_SQL_STATEMENT(callback_done, CALLBACK_DONE, "DELETE FROM aigw_callback WHERE task = $1 AND lease = $2");

apr_status_t aigw_sql_callback_add(aigw_sql_t *sql, apr_pool_t *p, const char *task, const char *url)
{
    /* webhook-id: the same in every attempt, and nobody else's */
    const aigw_sql_value_t args[] = {aigw_sql_text(task), aigw_sql_text(apr_pstrcat(p, "msg_", task, NULL)), aigw_sql_text(url)};

    return AIGW_SQL_RUN(callback_add, args, NULL);
}

apr_status_t aigw_sql_callback_claim(aigw_sql_t *sql, apr_pool_t *p, int max, apr_interval_time_t lease, aigw_callback_t *callbacks, int *n)
{
    const aigw_sql_value_t some[] = {aigw_sql_int(max)};
    aigw_sql_rows_t due, rows;
    apr_status_t rv = AIGW_SQL_RUN(callback_next, some, &due);
    int i;

    *n = 0;
    for (i = 0; rv == APR_SUCCESS && i < due.count; i++) {
        const aigw_sql_value_t args[] = {*aigw_sql_cell(&due, i, 0), aigw_sql_int(lease)};

        rv = AIGW_SQL_RUN(callback_claim, args, &rows);
        if (rv == APR_SUCCESS && rows.count) {
            aigw_callback_t *callback = &callbacks[(*n)++];

            callback->task = aigw_sql_cell_text(&rows, 0, 0);
            callback->id = aigw_sql_cell_text(&rows, 0, 1);
            callback->url = aigw_sql_cell_text(&rows, 0, 2);
            callback->attempts = (int)aigw_sql_cell_int(&rows, 0, 3);
            callback->first = aigw_sql_cell_int(&rows, 0, 4);
            callback->lease = aigw_sql_cell_int(&rows, 0, 5);
        }
    }
    return rv;
}

apr_status_t aigw_sql_callback_tried(aigw_sql_t *sql, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next)
{
    const aigw_sql_value_t which[] = {aigw_sql_text(callback->task), aigw_sql_int(callback->lease)};
    const aigw_sql_value_t later[] = {which[0], which[1], aigw_sql_int(next)};

    return next ? AIGW_SQL_RUN(callback_later, later, NULL) : AIGW_SQL_RUN(callback_done, which, NULL);
}
