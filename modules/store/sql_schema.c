#include "sql_schema.h"

#include <apr_strings.h>

/* Each step leads from its index to the next version. A step that was released never changes: another one comes behind it. */
static const char *const steps[] = {
    /* One task: states are those of aigw_task_state_e, times microseconds since 1970, the JSON texts as of aigw_store.h. The lease stays when a task has ended, so that the same end may be told twice. */
    "CREATE TABLE aigw_task ("
    " id TEXT PRIMARY KEY, owner TEXT NOT NULL, server TEXT NOT NULL, identity TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,"
    " request TEXT NOT NULL, priority INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, cancelling INTEGER NOT NULL,"
    " progress DOUBLE PRECISION NOT NULL, tokens {bigint} NOT NULL, result TEXT, error TEXT, usage TEXT,"
    " created {bigint} NOT NULL, started {bigint} NOT NULL, completed {bigint} NOT NULL, expires {bigint} NOT NULL, ttl {bigint} NOT NULL,"
    " callback_url TEXT, lease_holder TEXT, lease_number {bigint} NOT NULL, lease_until {bigint} NOT NULL, later {bigint} NOT NULL);"
    "CREATE INDEX aigw_task_page ON aigw_task (owner, created DESC, id DESC);"
    "CREATE INDEX aigw_task_next ON aigw_task (owner, priority DESC, created, id) WHERE state = 0;"
    "CREATE INDEX aigw_task_lease ON aigw_task (lease_until) WHERE state = 1;"
    "CREATE INDEX aigw_task_ttl ON aigw_task (expires) WHERE state > 1;"
    /* Whose turn it is: who has something that waits, and was served longest ago. held: all that waits is to be run later than that (aigw_task.later). */
    "CREATE TABLE aigw_owner (owner TEXT PRIMARY KEY, pending {bigint} NOT NULL, unfinished {bigint} NOT NULL, served {bigint} NOT NULL,"
    " held {bigint} NOT NULL);"
    "CREATE INDEX aigw_owner_turn ON aigw_owner (served, owner) WHERE pending > 0;"
    "CREATE INDEX aigw_owner_idle ON aigw_owner (served) WHERE unfinished = 0;"
    /* Idempotency keys. */
    "CREATE TABLE aigw_once (owner TEXT NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL, task TEXT NOT NULL, forget {bigint} NOT "
    "NULL,"
    " PRIMARY KEY (owner, name));"
    "CREATE INDEX aigw_once_forget ON aigw_once (forget);"
    /* Tasks that were there: 410 and not 404, for a day. */
    "CREATE TABLE aigw_gone (id TEXT PRIMARY KEY, owner TEXT NOT NULL, forget {bigint} NOT NULL);"
    "CREATE INDEX aigw_gone_forget ON aigw_gone (forget);"
    /* Callbacks that have not arrived yet; they outlive the task's TTL. */
    "CREATE TABLE aigw_callback (task TEXT PRIMARY KEY, id TEXT NOT NULL, url TEXT NOT NULL, attempts INTEGER NOT NULL, first {bigint} NOT "
    "NULL,"
    " next {bigint} NOT NULL, lease {bigint} NOT NULL);"
    "CREATE INDEX aigw_callback_next ON aigw_callback (next);",
};

#define VERSION ((int)(sizeof steps / sizeof *steps))

static const aigw_sql_statement_t read_version = {"SELECT value FROM aigw_meta WHERE name = 'schema'", 0};
static const aigw_sql_statement_t write_version = {
    "INSERT INTO aigw_meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value", 1};

int aigw_sql_schema_version(void)
{
    return VERSION;
}

apr_status_t aigw_sql_schema_update(aigw_sql_t *sql, apr_pool_t *p, int *found)
{
    aigw_sql_rows_t rows;
    aigw_sql_value_t version = aigw_sql_int(VERSION);
    apr_status_t rv = sql->vt->script(sql, p, "CREATE TABLE IF NOT EXISTS aigw_meta (name TEXT PRIMARY KEY, value {bigint} NOT NULL);");
    int i;

    *found = 0;
    if (rv == APR_SUCCESS) {
        rv = sql->vt->run(sql, p, &read_version, NULL, 0, &rows);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *found = rows.count ? (int)aigw_sql_cell_int(&rows, 0, 0) : 0;
    if (*found >= VERSION) {
        return *found > VERSION ? APR_INCOMPLETE : APR_SUCCESS;
    }
    for (i = *found; i < VERSION && rv == APR_SUCCESS; i++) {
        rv = sql->vt->script(sql, p, steps[i]);
    }
    return rv == APR_SUCCESS ? sql->vt->run(sql, p, &write_version, &version, 1, NULL) : rv;
}
