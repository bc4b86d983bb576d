#include "sql_task.h"
#include "sql_task_row.h"
#include "task_cursor.h"

#include <apr_strings.h>
#include <string.h>

/* ------------------------------------------------------------------ create */

AIGW_SQL_STATEMENT(once_forget, ONCE_FORGET, "DELETE FROM aigw_once WHERE owner = $1 AND name = $2 AND forget <= {now}");
AIGW_SQL_STATEMENT(
    once_add, ONCE_ADD,
    "INSERT INTO aigw_once (owner, name, fingerprint, task, forget) VALUES ($1, $2, $3, $4, {now} + $5) ON CONFLICT DO NOTHING");
AIGW_SQL_STATEMENT(once_get, ONCE_GET, "SELECT fingerprint, task FROM aigw_once WHERE owner = $1 AND name = $2");
AIGW_SQL_STATEMENT(owner_add, OWNER_ADD,
                   "INSERT INTO aigw_owner (owner, pending, unfinished, served, held) VALUES ($1, 0, 0, 0, 0) ON CONFLICT DO NOTHING");
AIGW_SQL_STATEMENT(
    owner_count, OWNER_COUNT,
    "UPDATE aigw_owner SET pending = pending + 1, unfinished = unfinished + 1, held = 0 WHERE owner = $1 AND (CAST($2 AS {bigint}) = "
    "0 OR unfinished < $2)");
AIGW_SQL_STATEMENT(task_add, TASK_ADD,
                   "INSERT INTO aigw_task (id, owner, server, identity, endpoint, model, request, priority, ttl, callback_url, state, "
                   "attempts, cancelling, progress, tokens, created, started, completed, expires,"
                   " lease_number, lease_until, later) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, -1, {now}, 0, 0, 0, 0, "
                   "0, 0) RETURNING " AIGW_SQL_TASK_FEW);

/* APR_SUCCESS: the key is new now. Else what task_create says; *task where it is known. */
static apr_status_t claim_key(aigw_sql_t *sql, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once,
                              const aigw_task_t **task)
{
    const aigw_sql_value_t who[] = {aigw_sql_text(from->owner), aigw_sql_text(once->key)};
    const aigw_sql_value_t add[] = {who[0], who[1], aigw_sql_text(once->fingerprint), aigw_sql_text(from->id), aigw_sql_int(once->keep)};
    aigw_sql_rows_t rows;
    apr_status_t rv = AIGW_SQL_RUN(once_forget, who, NULL);

    if (rv != APR_SUCCESS || (rv = AIGW_SQL_RUN(once_add, add, &rows)) != APR_SUCCESS || rows.changed) {
        return rv;
    }
    if ((rv = AIGW_SQL_RUN(once_get, who, &rows)) != APR_SUCCESS) {
        return rv;
    }
    if (!rows.count || strcmp(aigw_sql_cell_text(&rows, 0, 0), once->fingerprint) != 0) {
        return APR_EMISMATCH;
    }
    rv = aigw_sql_task_get(sql, p, aigw_sql_cell_text(&rows, 0, 1), from->owner, 1, task);
    return rv == APR_SUCCESS ? APR_EEXIST : rv;
}

/* One more of this owner's, if he may have one more: APR_ENOSPC. In PostgreSQL his row is locked from here to the end of the transaction, and his other creations wait: the less stands between the better. */
static apr_status_t count_more(aigw_sql_t *sql, apr_pool_t *p, const char *owner, int max)
{
    const aigw_sql_value_t count[] = {aigw_sql_text(owner), aigw_sql_int(max)};
    const aigw_sql_value_t who[] = {count[0]};
    aigw_sql_rows_t rows;
    apr_status_t rv = AIGW_SQL_RUN(owner_count, count, &rows);
    int tries;

    for (tries = 0; rv == APR_SUCCESS && !rows.changed; tries++) { /* he has too many; or he is new; or he is swept away between the two */
        if ((rv = AIGW_SQL_RUN(owner_add, who, &rows)) != APR_SUCCESS || (tries && !rows.changed)) {
            return rv == APR_SUCCESS ? APR_ENOSPC : rv;
        }
        rv = AIGW_SQL_RUN(owner_count, count, &rows);
    }
    return rv;
}

apr_status_t aigw_sql_task_create(aigw_sql_t *sql, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                  const aigw_task_t **task)
{
    const aigw_sql_value_t add[] = {aigw_sql_text(from->id),          aigw_sql_text(from->owner),    aigw_sql_text(from->server),
                                    aigw_sql_text(from->identity),    aigw_sql_text(from->endpoint), aigw_sql_text(from->model),
                                    aigw_sql_text(from->request),     aigw_sql_int(from->priority),  aigw_sql_int(from->ttl),
                                    aigw_sql_text(from->callback_url)};
    aigw_sql_rows_t rows;
    apr_status_t rv = once && once->key ? claim_key(sql, p, from, once, task) : APR_SUCCESS;

    if (rv != APR_SUCCESS || (rv = count_more(sql, p, from->owner, max)) != APR_SUCCESS ||
        (rv = AIGW_SQL_RUN(task_add, add, &rows)) != APR_SUCCESS) {
        return rv; /* and the transaction goes back */
    }
    *task = aigw_sql_task_of(&rows, 0, p);
    return APR_SUCCESS;
}

/* ------------------------------------------------------------------ read */

/* One whose time is over is so before it is swept away. */
#define KEPT " AND (expires = 0 OR expires > {now})"

AIGW_SQL_STATEMENT(task_get, TASK_GET, "SELECT " AIGW_SQL_TASK_FEW " FROM aigw_task WHERE id = $1 AND owner = $2" KEPT);
AIGW_SQL_STATEMENT(task_get_many, TASK_GET_MANY, "SELECT " AIGW_SQL_TASK_MANY " FROM aigw_task WHERE id = $1 AND owner = $2" KEPT);
AIGW_SQL_STATEMENT(task_look, TASK_LOOK, "SELECT " AIGW_SQL_TASK_FEW " FROM aigw_task WHERE id = $1");
AIGW_SQL_STATEMENT(gone_get, GONE_GET,
                   "SELECT id FROM aigw_gone WHERE id = $1 AND owner = $2 AND forget > {now} UNION ALL SELECT id FROM aigw_task WHERE id = "
                   "$1 AND owner = $2 AND expires > 0 AND expires > {now} - 86400000000");
AIGW_SQL_STATEMENT(task_page, TASK_PAGE,
                   "SELECT " AIGW_SQL_TASK_FEW " FROM aigw_task WHERE owner = $1 AND (CAST($2 AS INTEGER) < 0 OR state = $2)" KEPT
                   " AND (created, "
                   "id) < ($3, $4) ORDER BY created DESC, id DESC LIMIT $5");

apr_status_t aigw_sql_task_get(aigw_sql_t *sql, apr_pool_t *p, const char *id, const char *owner, int with, const aigw_task_t **task)
{
    const aigw_sql_value_t args[] = {aigw_sql_text(id), aigw_sql_text(owner)};
    aigw_sql_rows_t rows;
    apr_status_t rv = with ? AIGW_SQL_RUN(task_get_many, args, &rows) : AIGW_SQL_RUN(task_get, args, &rows);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (rows.count) {
        *task = aigw_sql_task_of(&rows, 0, p);
        return APR_SUCCESS;
    }
    rv = AIGW_SQL_RUN(gone_get, args, &rows);
    return rv != APR_SUCCESS ? rv : rows.count ? APR_EOF : APR_NOTFOUND;
}

apr_status_t aigw_sql_task_look(aigw_sql_t *sql, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        const aigw_sql_value_t args[] = {aigw_sql_text(ids[i])};
        aigw_sql_rows_t rows;

        rv = AIGW_SQL_RUN(task_look, args, &rows);
        tasks[i] = rv == APR_SUCCESS && rows.count ? aigw_sql_task_of(&rows, 0, p) : NULL;
    }
    return rv;
}

apr_status_t aigw_sql_task_list(aigw_sql_t *sql, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                                aigw_task_page_t *page)
{
    apr_int64_t before = APR_INT64_MAX;
    const char *id = "";
    aigw_sql_rows_t rows;
    apr_status_t rv;
    int i;

    if (cursor && !aigw_task_cursor_read(cursor, &before, &id)) {
        return APR_EINVAL;
    }
    {
        const aigw_sql_value_t args[] = {aigw_sql_text(owner), aigw_sql_int(state), aigw_sql_int(before), aigw_sql_text(id),
                                         aigw_sql_int(limit + 1)};

        rv = AIGW_SQL_RUN(task_page, args, &rows);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    page->tasks = apr_array_make(p, limit, sizeof(const aigw_task_t *));
    page->next = NULL;
    for (i = 0; i < rows.count && i < limit; i++) {
        APR_ARRAY_PUSH(page->tasks, const aigw_task_t *) = aigw_sql_task_of(&rows, i, p);
    }
    if (rows.count > limit) {
        const aigw_task_t *last = APR_ARRAY_IDX(page->tasks, limit - 1, const aigw_task_t *);

        page->next = aigw_task_cursor_make(p, last);
    }
    return APR_SUCCESS;
}
