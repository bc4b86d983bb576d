/* Tasks in Redis: what endpoints ask. */
#include "store_redis.h"
#include "task_cursor.h"

#include <apr_strings.h>
#include <stdlib.h>

#define AT_ONCE 100 /* tasks in one step */

AIGW_STORE_REDIS_SCRIPT(create_script, AIGW_REDIS_CREATE_LUA);
AIGW_STORE_REDIS_SCRIPT(read_script, AIGW_REDIS_READ_LUA);
AIGW_STORE_REDIS_SCRIPT(cancel_script, AIGW_REDIS_CANCEL_LUA);

/* ------------------------------------------------------------------ a task */

/* As FEW and MANY are in redis_common.lua. */
enum {
    ID,
    OWNER,
    SERVER,
    IDENTITY,
    ENDPOINT,
    MODEL,
    PRIORITY,
    STATE,
    ATTEMPTS,
    CANCELLING,
    PROGRESS,
    TOKENS,
    ERROR,
    USAGE,
    CREATED,
    STARTED,
    COMPLETED,
    EXPIRES,
    TTL,
    CALLBACK_URL,
    NUMBER,
    FEW,
    REQUEST = FEW,
    RESULT
};

const aigw_task_t *aigw_store_redis_task(const aigw_redis_reply_t *reply, apr_pool_t *p)
{
    const aigw_redis_reply_t *fields = reply->elements;
    aigw_task_t *task;

    if (reply->kind != AIGW_REDIS_ARRAY || reply->count < FEW || !aigw_store_redis_text(&fields[ID])) {
        return NULL;
    }
    task = apr_pcalloc(p, sizeof *task);
    task->id = aigw_store_redis_text(&fields[ID]);
    task->owner = aigw_store_redis_text(&fields[OWNER]);
    task->server = aigw_store_redis_text(&fields[SERVER]);
    task->identity = aigw_store_redis_text(&fields[IDENTITY]);
    task->endpoint = aigw_store_redis_text(&fields[ENDPOINT]);
    task->model = aigw_store_redis_text(&fields[MODEL]);
    task->priority = (int)aigw_store_redis_int(&fields[PRIORITY]);
    task->state = (aigw_task_state_e)aigw_store_redis_int(&fields[STATE]);
    task->attempts = (int)aigw_store_redis_int(&fields[ATTEMPTS]);
    task->cancelling = (int)aigw_store_redis_int(&fields[CANCELLING]);
    task->progress = fields[PROGRESS].data ? strtod(fields[PROGRESS].data, NULL) : 0;
    task->tokens = aigw_store_redis_int(&fields[TOKENS]);
    task->error = aigw_store_redis_text(&fields[ERROR]);
    task->usage = aigw_store_redis_text(&fields[USAGE]);
    task->created = aigw_store_redis_int(&fields[CREATED]);
    task->started = aigw_store_redis_int(&fields[STARTED]);
    task->completed = aigw_store_redis_int(&fields[COMPLETED]);
    task->expires = aigw_store_redis_int(&fields[EXPIRES]);
    task->ttl = aigw_store_redis_int(&fields[TTL]);
    task->claims = aigw_store_redis_int(&fields[NUMBER]);
    task->callback_url = aigw_store_redis_text(&fields[CALLBACK_URL]);
    task->claims = aigw_store_redis_int(&fields[NUMBER]);
    if (reply->count >= AIGW_STORE_REDIS_FIELDS) {
        task->request = aigw_store_redis_text(&fields[REQUEST]);
        task->result = aigw_store_redis_text(&fields[RESULT]);
    }
    return task;
}

/* {how} or {how, task}: what that means. */
static apr_status_t read_answer(aigw_store_redis_t *self, apr_pool_t *p, const aigw_redis_reply_t *reply, const aigw_task_t **task)
{
    static const struct {
        const char *how;
        apr_status_t rv;
        int has_task;
    } answers[] = {{"ok", APR_SUCCESS, 1},        {"exists", APR_EEXIST, 1}, {"mismatch", APR_EMISMATCH, 0}, {"full", APR_ENOSPC, 0},
                   {"notfound", APR_NOTFOUND, 0}, {"gone", APR_EOF, 0},      {"taken", APR_EGENERAL, 0}};
    const char *how = reply->count ? aigw_store_redis_text(&reply->elements[0]) : NULL;
    apr_size_t i;

    for (i = 0; how && i < sizeof answers / sizeof *answers; i++) {
        if (!strcmp(how, answers[i].how)) {
            *task = answers[i].has_task && reply->count > 1 ? aigw_store_redis_task(&reply->elements[1], p) : NULL;
            return answers[i].has_task && !*task ? aigw_store_redis_odd(self) : answers[i].rv;
        }
    }
    return aigw_store_redis_odd(self);
}

static apr_status_t ask(aigw_store_redis_t *self, aigw_redis_script_t *script, const aigw_store_redis_args_t *args,
                        const aigw_redis_reply_t **reply)
{
    const apr_status_t rv = aigw_store_redis_ask(self, script, args, reply);

    return rv == APR_TIMEUP ? APR_EAGAIN : rv;
}

/* ------------------------------------------------------------------ create */

apr_status_t aigw_store_redis_create(aigw_store_t *store, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                     const aigw_task_t **task)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 16);
    const char *const texts[] = {from->id, from->owner, from->server, from->identity, from->endpoint, from->model, from->request};
    const int has_key = once && once->key;
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    apr_size_t i;

    if (strlen(from->request) > AIGW_STORE_REDIS_VALUE) {
        return aigw_store_redis_too_large(self, "request", strlen(from->request));
    }
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        aigw_store_redis_add(&args, texts[i]);
    }
    aigw_store_redis_add_int(&args, from->priority);
    aigw_store_redis_add_int(&args, from->ttl);
    aigw_store_redis_add(&args, from->callback_url ? "1" : "0");
    aigw_store_redis_add(&args, from->callback_url);
    aigw_store_redis_add_int(&args, max);
    aigw_store_redis_add(&args, has_key ? "1" : "0");
    aigw_store_redis_add(&args, has_key ? once->key : NULL);
    aigw_store_redis_add(&args, has_key ? once->fingerprint : NULL);
    aigw_store_redis_add_int(&args, has_key ? once->keep / 1000 + 1 : 0);
    rv = ask(self, &create_script, &args, &reply);
    return rv == APR_SUCCESS ? read_answer(self, p, reply, task) : rv;
}

/* ------------------------------------------------------------------ read */

apr_status_t aigw_store_redis_get(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, int with, const aigw_task_t **task)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 4);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;

    aigw_store_redis_add(&args, "get");
    aigw_store_redis_add(&args, id);
    aigw_store_redis_add(&args, owner);
    aigw_store_redis_add(&args, with ? "1" : "0");
    rv = ask(self, &read_script, &args, &reply);
    return rv == APR_SUCCESS ? read_answer(self, p, reply, task) : rv;
}

static apr_status_t look_at_some(aigw_store_redis_t *self, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks)
{
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, n + 1);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    int i;

    aigw_store_redis_add(&args, "look");
    for (i = 0; i < n; i++) {
        aigw_store_redis_add(&args, ids[i]);
    }
    rv = ask(self, &read_script, &args, &reply);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        tasks[i] = i < reply->count ? aigw_store_redis_task(&reply->elements[i], p) : NULL;
    }
    return rv;
}

apr_status_t aigw_store_redis_look(aigw_store_t *store, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i += AT_ONCE) {
        rv = look_at_some((aigw_store_redis_t *)store, p, ids + i, n - i < AT_ONCE ? n - i : AT_ONCE, tasks + i);
    }
    return rv;
}

/* One step of it: at most so many, and where to go on; NULL: that was all. */
static apr_status_t list_some(aigw_store_redis_t *self, apr_pool_t *p, const char *owner, int state, int wanted, const char **max,
                              apr_array_header_t *tasks)
{
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 5);
    const aigw_redis_reply_t *reply, *found;
    apr_status_t rv;
    int i;

    aigw_store_redis_add(&args, "list");
    aigw_store_redis_add(&args, owner);
    aigw_store_redis_add_int(&args, state);
    aigw_store_redis_add_int(&args, wanted);
    aigw_store_redis_add(&args, *max);
    if ((rv = ask(self, &read_script, &args, &reply)) != APR_SUCCESS) {
        return rv;
    }
    if (reply->count != 2 || reply->elements[0].kind != AIGW_REDIS_ARRAY || !aigw_store_redis_text(&reply->elements[1])) {
        return aigw_store_redis_odd(self);
    }
    found = &reply->elements[0];
    for (i = 0; i < found->count; i++) {
        const aigw_task_t *task = aigw_store_redis_task(&found->elements[i], p);

        if (task) {
            APR_ARRAY_PUSH(tasks, const aigw_task_t *) = task;
        }
    }
    *max = *reply->elements[1].data ? apr_pstrcat(p, "(", reply->elements[1].data, NULL) : NULL;
    return APR_SUCCESS;
}

apr_status_t aigw_store_redis_list(aigw_store_t *store, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                                   aigw_task_page_t *page)
{
    apr_array_header_t *tasks = apr_array_make(p, limit + 1, sizeof(const aigw_task_t *));
    const char *max = "+", *id = "";
    apr_int64_t before = 0;
    apr_status_t rv = APR_SUCCESS;

    if (cursor && (!aigw_task_cursor_read(cursor, &before, &id) || before > APR_INT64_C(9999999999999999))) {
        return APR_EINVAL;
    }
    if (cursor) {
        max = apr_psprintf(p, "(%016" APR_INT64_T_FMT "%s", before, id);
    }
    while (rv == APR_SUCCESS && max && tasks->nelts <= limit) {
        rv = list_some((aigw_store_redis_t *)store, p, owner, state, limit + 1 - tasks->nelts, &max, tasks);
    }
    page->tasks = tasks;
    page->next = NULL;
    if (tasks->nelts > limit) {
        apr_array_pop(tasks);
        page->next = aigw_task_cursor_make(p, APR_ARRAY_IDX(tasks, limit - 1, const aigw_task_t *));
    }
    return rv;
}

/* ------------------------------------------------------------------ cancel, count */

apr_status_t aigw_store_redis_cancel(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 2);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;

    aigw_store_redis_add(&args, id);
    aigw_store_redis_add(&args, owner);
    rv = ask(self, &cancel_script, &args, &reply);
    return rv == APR_SUCCESS ? read_answer(self, p, reply, task) : rv;
}

apr_status_t aigw_store_redis_count(aigw_store_t *store, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 1);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    int i;

    aigw_store_redis_add(&args, "count");
    if ((rv = ask(self, &read_script, &args, &reply)) != APR_SUCCESS) {
        return rv;
    }
    if (reply->count != 6) {
        return aigw_store_redis_odd(self);
    }
    for (i = 0; i < 5; i++) {
        states[i] = aigw_store_redis_int(&reply->elements[i]);
    }
    *callbacks = aigw_store_redis_int(&reply->elements[5]);
    return APR_SUCCESS;
}
