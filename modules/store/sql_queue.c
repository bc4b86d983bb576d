/* The queue: whose turn it is, who runs what, and what becomes of tasks whose runner is gone. */
#include "sql_task.h"
#include "sql_task_row.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP 200                      /* rows at a time: a transaction stays short */
#define DAY   APR_INT64_C(86400000000) /* microseconds */

/* ------------------------------------------------------------------ counting */

AIGW_SQL_STATEMENT(
    owner_less, OWNER_LESS,
    "UPDATE aigw_owner SET pending = pending - $2, unfinished = unfinished - $3, held = CASE WHEN CAST($2 AS {bigint}) < 0 THEN 0 ELSE "
    "held END WHERE owner = $1");

static apr_status_t count_less(aigw_sql_t *sql, apr_pool_t *p, const char *owner, int pending, int unfinished)
{
    const aigw_sql_value_t args[] = {aigw_sql_text(owner), aigw_sql_int(pending), aigw_sql_int(unfinished)};

    return AIGW_SQL_RUN(owner_less, args, NULL);
}

/* What is to be counted of many owners: at the end of a transaction, in the order of their names. (In PostgreSQL each is locked then until the transaction is over: two of them that lock the same owners
 * in another order would wait for each other, and one of them is thrown out after a second.) */
typedef struct tally_t {
    const char *owner;
    int pending, unfinished;
} tally_t;

static void count_later(apr_array_header_t *tallies, const char *owner, int pending, int unfinished)
{
    const tally_t tally = {owner, pending, unfinished};

    APR_ARRAY_PUSH(tallies, tally_t) = tally;
}

static int by_owner(const void *a, const void *b)
{
    return strcmp(((const tally_t *)a)->owner, ((const tally_t *)b)->owner);
}

static apr_status_t count_all(aigw_sql_t *sql, apr_pool_t *p, const apr_array_header_t *tallies)
{
    tally_t *all = (tally_t *)tallies->elts;
    apr_status_t rv = APR_SUCCESS;
    int i, first = 0;

    qsort(all, (size_t)tallies->nelts, sizeof *all, by_owner);
    for (i = 1; rv == APR_SUCCESS && i <= tallies->nelts; i++) {
        if (i < tallies->nelts && !by_owner(&all[first], &all[i])) {
            all[first].pending += all[i].pending;
            all[first].unfinished += all[i].unfinished;
        }
        else {
            rv = count_less(sql, p, all[first].owner, all[first].pending, all[first].unfinished);
            first = i;
        }
    }
    return rv;
}

/* ------------------------------------------------------------------ cancel */

/* Who ends a task takes its request out: nobody needs it any more, and a user who makes and cancels large ones must not fill the disk. */

AIGW_SQL_STATEMENT(
    task_cancel, TASK_CANCEL,
    "UPDATE aigw_task SET state = 4, request = '', completed = {now}, expires = {now} + ttl WHERE id = $1 AND owner = $2 AND state = 0 "
    "RETURNING callback_url");
AIGW_SQL_STATEMENT(task_cancelling, TASK_CANCELLING, "UPDATE aigw_task SET cancelling = 1 WHERE id = $1 AND owner = $2 AND state = 1");

apr_status_t aigw_sql_task_cancel(aigw_sql_t *sql, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task)
{
    const aigw_sql_value_t args[] = {aigw_sql_text(id), aigw_sql_text(owner)};
    aigw_sql_rows_t rows;
    apr_status_t rv = AIGW_SQL_RUN(task_cancel, args, &rows);

    if (rv == APR_SUCCESS && rows.count) {
        rv = count_less(sql, p, owner, 1, 1);
        if (rv == APR_SUCCESS && aigw_sql_cell_text(&rows, 0, 0)) {
            rv = aigw_sql_callback_add(sql, p, id, aigw_sql_cell_text(&rows, 0, 0));
        }
    }
    else if (rv == APR_SUCCESS) {
        rv = AIGW_SQL_RUN(task_cancelling, args, NULL);
    }
    return rv == APR_SUCCESS ? aigw_sql_task_get(sql, p, id, owner, 1, task) : rv;
}

/* ------------------------------------------------------------------ claim */

AIGW_SQL_STATEMENT(owner_turn, OWNER_TURN,
                   "SELECT owner FROM aigw_owner WHERE pending > 0 AND held <= {now} ORDER BY served, owner LIMIT 1 {skip}");
AIGW_SQL_STATEMENT(
    task_claim, TASK_CLAIM,
    "UPDATE aigw_task SET state = 1, attempts = attempts + 1, started = CASE started WHEN 0 THEN {now} ELSE started END, lease_holder = $2,"
    " lease_number = lease_number + 1, lease_until = {now} + $3 WHERE id = (SELECT id FROM aigw_task WHERE owner = $1 AND state = 0"
    " AND later <= {now} ORDER BY priority DESC, created, id LIMIT 1 {skip}) RETURNING " AIGW_SQL_TASK_MANY);
AIGW_SQL_STATEMENT(owner_served, OWNER_SERVED, "UPDATE aigw_owner SET pending = pending - 1, served = {now} WHERE owner = $1");
/* Nothing of his is due: not before the first of those that wait. (The count is right, unless somebody changed the tables by hand.) */
AIGW_SQL_STATEMENT(
    owner_mend, OWNER_MEND,
    "UPDATE aigw_owner SET pending = (SELECT COUNT(*) FROM aigw_task t WHERE t.owner = $1 AND t.state = 0), held = COALESCE((SELECT "
    "MIN(later) FROM aigw_task t WHERE t.owner = $1 AND t.state = 0), 0) WHERE owner = $1");

apr_status_t aigw_sql_task_claim(aigw_sql_t *sql, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                                 const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n)
{
    aigw_sql_rows_t rows;
    apr_status_t rv = APR_SUCCESS;
    int turns;

    *n = 0;
    for (turns = 0; *n < max && turns < 2 * max; turns++) {
        const char *owner;

        if ((rv = sql->vt->run(sql, p, &owner_turn, NULL, 0, &rows)) != APR_SUCCESS || !rows.count) {
            break;
        }
        owner = aigw_sql_cell_text(&rows, 0, 0);
        {
            const aigw_sql_value_t who[] = {aigw_sql_text(owner)};
            const aigw_sql_value_t args[] = {who[0], aigw_sql_text(holder), aigw_sql_int(lease)};

            if ((rv = AIGW_SQL_RUN(task_claim, args, &rows)) != APR_SUCCESS) {
                break;
            }
            rv = rows.count ? AIGW_SQL_RUN(owner_served, who, NULL) : AIGW_SQL_RUN(owner_mend, who, NULL);
        }
        if (rv != APR_SUCCESS) {
            break;
        }
        if (rows.count) {
            tasks[*n] = aigw_sql_task_of(&rows, 0, p);
            leases[*n].id = tasks[*n]->id;
            leases[*n].holder = holder;
            leases[*n].number = tasks[*n]->claims;
            ++*n;
        }
    }
    return rv;
}

/* ------------------------------------------------------------------ signs of life, and the end */

AIGW_SQL_STATEMENT(
    task_beat, TASK_BEAT,
    "UPDATE aigw_task SET lease_until = {now} + $4, progress = $5, tokens = $6 WHERE id = $1 AND state = 1 AND lease_holder = $2 AND"
    " lease_number = $3 RETURNING cancelling");

apr_status_t aigw_sql_task_beat(aigw_sql_t *sql, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        aigw_task_beat_t *beat = &beats[i];
        const aigw_sql_value_t args[] = {aigw_sql_text(beat->lease.id), aigw_sql_text(beat->lease.holder), aigw_sql_int(beat->lease.number),
                                         aigw_sql_int(lease),           aigw_sql_real(beat->progress),     aigw_sql_int(beat->tokens)};
        aigw_sql_rows_t rows;

        rv = AIGW_SQL_RUN(task_beat, args, &rows);
        if (rv == APR_SUCCESS) {
            beat->lost = !rows.count;
            beat->cancelling = rows.count && aigw_sql_cell_int(&rows, 0, 0);
        }
    }
    return rv;
}

/* The lease stays written: the same end may be told twice. */
AIGW_SQL_STATEMENT(
    task_end, TASK_END,
    "UPDATE aigw_task SET state = $4, request = '', result = $5, error = $6, usage = $7, tokens = $8, progress = CASE CAST($4 AS INTEGER) "
    "WHEN 2 THEN 1 ELSE progress END,"
    " completed = {now}, expires = {now} + ttl WHERE id = $1 AND state = 1 AND lease_holder = $2 AND lease_number = $3 "
    "RETURNING owner, callback_url");
AIGW_SQL_STATEMENT(task_back, TASK_BACK,
                   "UPDATE aigw_task SET state = 0, attempts = attempts - 1, started = CASE attempts WHEN 1 THEN 0 ELSE started END, "
                   "progress = 0, tokens = -1, later = CASE CAST($4 AS {bigint}) WHEN 0 "
                   "THEN 0 ELSE {now} + $4 END WHERE id = $1 AND state = 1 AND cancelling = 0 AND "
                   "lease_holder = $2 AND"
                   " lease_number = $3 RETURNING owner");
AIGW_SQL_STATEMENT(task_ended, TASK_ENDED,
                   "SELECT id FROM aigw_task WHERE id = $1 AND state <> 1 AND lease_holder = $2 AND lease_number = $3");

static apr_status_t hand_back(aigw_sql_t *sql, apr_pool_t *p, const aigw_task_end_t *end, aigw_sql_rows_t *rows,
                              apr_array_header_t *tallies)
{
    const aigw_sql_value_t args[] = {aigw_sql_text(end->lease.id), aigw_sql_text(end->lease.holder), aigw_sql_int(end->lease.number),
                                     aigw_sql_int(end->delay)};
    apr_status_t rv = AIGW_SQL_RUN(task_back, args, rows);

    if (rv == APR_SUCCESS && rows->count) {
        count_later(tallies, aigw_sql_cell_text(rows, 0, 0), -1, 0);
    }
    return rv;
}

static apr_status_t finish(aigw_sql_t *sql, apr_pool_t *p, const aigw_task_end_t *end, aigw_sql_rows_t *rows, apr_array_header_t *tallies)
{
    const aigw_sql_value_t args[] = {aigw_sql_text(end->lease.id), aigw_sql_text(end->lease.holder), aigw_sql_int(end->lease.number),
                                     aigw_sql_int(end->state),     aigw_sql_text(end->result),       aigw_sql_text(end->error),
                                     aigw_sql_text(end->usage),    aigw_sql_int(end->tokens)};
    apr_status_t rv = AIGW_SQL_RUN(task_end, args, rows);
    const char *url;

    if (rv != APR_SUCCESS || !rows->count) {
        return rv;
    }
    url = aigw_sql_cell_text(rows, 0, 1);
    count_later(tallies, aigw_sql_cell_text(rows, 0, 0), 0, 1);
    return url ? aigw_sql_callback_add(sql, p, end->lease.id, url) : rv;
}

apr_status_t aigw_sql_task_end(aigw_sql_t *sql, apr_pool_t *p, aigw_task_end_t *ends, int n)
{
    apr_array_header_t *tallies = apr_array_make(p, n, sizeof(tally_t));
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        aigw_task_end_t *end = &ends[i];
        const aigw_sql_value_t args[] = {aigw_sql_text(end->lease.id), aigw_sql_text(end->lease.holder), aigw_sql_int(end->lease.number)};
        aigw_sql_rows_t rows;

        rv = end->state == AIGW_TASK_PENDING ? hand_back(sql, p, end, &rows, tallies) : finish(sql, p, end, &rows, tallies);
        if (rv == APR_SUCCESS && !rows.count &&
            end->state == AIGW_TASK_PENDING) { /* its owner wants it to end: nobody is to run it again */
            const aigw_task_end_t cancelled = {.lease = end->lease, .state = AIGW_TASK_CANCELLED, .tokens = end->tokens};

            rv = finish(sql, p, &cancelled, &rows, tallies);
        }
        if (rv == APR_SUCCESS && !rows.count) {
            rv = AIGW_SQL_RUN(task_ended, args, &rows);
        }
        end->lost = rv == APR_SUCCESS && !rows.count;
    }
    return rv == APR_SUCCESS ? count_all(sql, p, tallies) : rv;
}

/* ------------------------------------------------------------------ sweep */

AIGW_SQL_STATEMENT(lease_over, LEASE_OVER,
                   "SELECT id, owner, attempts, cancelling, callback_url FROM aigw_task WHERE state = 1 AND lease_until < {now} ORDER BY "
                   "lease_until LIMIT $1 {skip}");
/* lease_number counts up, so that who had it knows that it is lost, whatever comes */
AIGW_SQL_STATEMENT(lease_back, LEASE_BACK,
                   "UPDATE aigw_task SET state = 0, progress = 0, tokens = -1, lease_number = lease_number + 1 WHERE id = $1 AND state = 1 "
                   "AND lease_until < {now}");
AIGW_SQL_STATEMENT(
    lease_end, LEASE_END,
    "UPDATE aigw_task SET state = $2, request = '', error = $3, completed = {now}, expires = {now} + ttl, lease_number = lease_number + 1 "
    "WHERE id = $1 AND"
    " state = 1 AND lease_until < {now}");
AIGW_SQL_STATEMENT(ttl_over, TTL_OVER,
                   "SELECT id, owner, expires FROM aigw_task WHERE state > 1 AND expires <= {now} ORDER BY expires LIMIT $1 {skip}");
AIGW_SQL_STATEMENT(gone_add, GONE_ADD, "INSERT INTO aigw_gone (id, owner, forget) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
AIGW_SQL_STATEMENT(task_drop, TASK_DROP, "DELETE FROM aigw_task WHERE id = $1 AND state > 1");
AIGW_SQL_STATEMENT(gone_drop, GONE_DROP,
                   "DELETE FROM aigw_gone WHERE id IN (SELECT id FROM aigw_gone WHERE forget <= {now} LIMIT $1 {skip})");
AIGW_SQL_STATEMENT(
    once_drop, ONCE_DROP,
    "DELETE FROM aigw_once WHERE (owner, name) IN (SELECT owner, name FROM aigw_once WHERE forget <= {now} LIMIT $1 {skip})");
/* who comes again within the hour waits for his turn like everybody else */
AIGW_SQL_STATEMENT(owner_drop, OWNER_DROP,
                   "DELETE FROM aigw_owner WHERE owner IN (SELECT owner FROM aigw_owner WHERE unfinished = 0 AND served < {now} - "
                   "3600000000 LIMIT $1 {skip}) AND unfinished = 0");

/* A task whose runner has not been heard of. */
static apr_status_t take_back(aigw_sql_t *sql, apr_pool_t *p, const aigw_sql_rows_t *found, int i, int attempts, const char *error,
                              apr_array_header_t *tallies)
{
    const char *id = aigw_sql_cell_text(found, i, 0), *owner = aigw_sql_cell_text(found, i, 1), *url = aigw_sql_cell_text(found, i, 4);
    const int cancelling = (int)aigw_sql_cell_int(found, i, 3), over = aigw_sql_cell_int(found, i, 2) >= attempts;
    const aigw_sql_value_t back[] = {aigw_sql_text(id)};
    const aigw_sql_value_t end[] = {back[0], aigw_sql_int(cancelling ? AIGW_TASK_CANCELLED : AIGW_TASK_FAILED),
                                    aigw_sql_text(cancelling ? NULL : error)};
    aigw_sql_rows_t rows;
    apr_status_t rv = cancelling || over ? AIGW_SQL_RUN(lease_end, end, &rows) : AIGW_SQL_RUN(lease_back, back, &rows);

    if (rv != APR_SUCCESS || !rows.changed) {
        return rv;
    }
    count_later(tallies, owner, cancelling || over ? 0 : -1, cancelling || over ? 1 : 0);
    return (cancelling || over) && url ? aigw_sql_callback_add(sql, p, id, url) : rv;
}

static apr_status_t sweep_leases(aigw_sql_t *sql, apr_pool_t *p, int attempts, const char *error, int *more)
{
    const aigw_sql_value_t some[] = {aigw_sql_int(SWEEP)};
    apr_array_header_t *tallies = apr_array_make(p, 8, sizeof(tally_t));
    aigw_sql_rows_t found;
    apr_status_t rv = AIGW_SQL_RUN(lease_over, some, &found);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < found.count; i++) {
        rv = take_back(sql, p, &found, i, attempts, error, tallies);
    }
    *more |= rv == APR_SUCCESS && found.count == SWEEP;
    return rv == APR_SUCCESS ? count_all(sql, p, tallies) : rv;
}

static apr_status_t sweep_finished(aigw_sql_t *sql, apr_pool_t *p, int *more)
{
    const aigw_sql_value_t some[] = {aigw_sql_int(SWEEP)};
    aigw_sql_rows_t found;
    apr_status_t rv = AIGW_SQL_RUN(ttl_over, some, &found);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < found.count; i++) {
        /* a day from its end, whenever it is swept: who was told 404 is not told 410 again */
        const aigw_sql_value_t gone[] = {*aigw_sql_cell(&found, i, 0), *aigw_sql_cell(&found, i, 1),
                                         aigw_sql_int(aigw_sql_cell_int(&found, i, 2) + DAY)};
        const aigw_sql_value_t drop[] = {gone[0]};

        rv = AIGW_SQL_RUN(gone_add, gone, NULL);
        if (rv == APR_SUCCESS) {
            rv = AIGW_SQL_RUN(task_drop, drop, NULL);
        }
    }
    *more |= rv == APR_SUCCESS && found.count == SWEEP;
    return rv;
}

apr_status_t aigw_sql_task_sweep(aigw_sql_t *sql, apr_pool_t *p, int attempts, const char *error, int *more)
{
    static const aigw_sql_statement_t *const drops[] = {&gone_drop, &once_drop, &owner_drop};
    const aigw_sql_value_t some[] = {aigw_sql_int(SWEEP)};
    aigw_sql_rows_t rows;
    apr_status_t rv;
    apr_size_t i;

    *more = 0;
    rv = sweep_leases(sql, p, attempts, error, more);
    if (rv == APR_SUCCESS) {
        rv = sweep_finished(sql, p, more);
    }
    for (i = 0; rv == APR_SUCCESS && i < sizeof drops / sizeof *drops; i++) {
        rv = AIGW_SQL_RUN(*drops[i], some, &rows);
        *more |= rv == APR_SUCCESS && rows.changed == SWEEP;
    }
    return rv;
}

/* ------------------------------------------------------------------ numbers */

AIGW_SQL_STATEMENT(task_count, TASK_COUNT, "SELECT state, COUNT(*) FROM aigw_task GROUP BY state");
AIGW_SQL_STATEMENT(callback_count, CALLBACK_COUNT, "SELECT COUNT(*) FROM aigw_callback");

apr_status_t aigw_sql_task_count(aigw_sql_t *sql, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks)
{
    aigw_sql_rows_t rows;
    apr_status_t rv = sql->vt->run(sql, p, &task_count, NULL, 0, &rows);
    int i;

    memset(states, 0, 5 * sizeof *states);
    for (i = 0; rv == APR_SUCCESS && i < rows.count; i++) {
        const apr_int64_t state = aigw_sql_cell_int(&rows, i, 0);

        if (state >= 0 && state < 5) {
            states[state] = aigw_sql_cell_int(&rows, i, 1);
        }
    }
    if (rv == APR_SUCCESS && (rv = sql->vt->run(sql, p, &callback_count, NULL, 0, &rows)) == APR_SUCCESS) {
        *callbacks = aigw_sql_cell_int(&rows, 0, 0);
    }
    return rv;
}
