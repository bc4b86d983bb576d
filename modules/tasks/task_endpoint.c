/* aigw-tasks: the collection, and one task. */
#include "task_callback.h"
#include "task_runner.h"
#include "task_watch.h"
#include "aigw_names.h"
#include "aigw_prefer.h"
#include "aigw_text.h"

#include <http_protocol.h>
#include <apr_escape.h>
#include <apr_strings.h>

#define PAGE        20
#define PAGE_MAX    100
#define CANCEL_WAIT apr_time_from_sec(2) /* for a task that runs to end: in another child it is seen within a second */

/* One request. */
typedef struct ask_t {
    request_rec *r;
    const aigw_store_vt *vt;
    aigw_store_t *store;
    const char *owner;
    const char *id; /* "": the collection */
    int events;     /* its events, and not itself */
    int jobs;       /* it says job_id */
    int created;    /* it was made by this very request */
} ask_t;

const aigw_error_t *aigw_task_unavailable(apr_pool_t *p)
{
    aigw_error_t *error = aigw_tasks_core->error_make(p, HTTP_SERVICE_UNAVAILABLE, "store_unavailable", NULL,
                                                      "Tasks cannot be looked up or taken now. Try again in a moment.");

    error->retry_after = APR_USEC_PER_SEC;
    return error;
}

/* A mistake in the configuration: trying again does not help, and 503 would say that it does. */
static const aigw_error_t *no_store(apr_pool_t *p)
{
    return aigw_tasks_core->error_make(p, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL,
                                       "This gateway is not configured to keep tasks.");
}

/* text NULL: there was no memory. */
static int send_text(request_rec *r, int status, const char *text)
{
    if (!text) {
        return aigw_tasks_core->error_send(
            r, aigw_tasks_core->error_make(r->pool, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory."));
    }
    r->status = status;
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}

static int send_json(request_rec *r, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    const int rc = send_text(r, status, text);

    json_decref(json);
    free(text);
    return rc;
}

static int refuse(ask_t *ask, apr_status_t rv)
{
    apr_pool_t *p = ask->r->pool;

    switch (rv) {
    case APR_NOTFOUND:
        return aigw_tasks_core->error_send(ask->r,
                                           aigw_tasks_core->error_make(p, HTTP_NOT_FOUND, "not_found", NULL, "There is no such task."));
    case APR_EOF:
        return aigw_tasks_core->error_send(
            ask->r, aigw_tasks_core->error_make(p, HTTP_GONE, "gone", NULL, "This task is finished, and is not kept any more."));
    case APR_EINVAL:
        return aigw_tasks_core->error_send(ask->r, aigw_tasks_core->error_make(p, HTTP_BAD_REQUEST, "validation_error", "cursor",
                                                                               "cursor must be the next_cursor of a page before."));
    default:
        return aigw_tasks_core->error_send(ask->r, aigw_task_unavailable(p));
    }
}

static int is_over(const aigw_task_t *task)
{
    return task->state > AIGW_TASK_RUNNING;
}

static int send_task(ask_t *ask, int status, const aigw_task_t *task)
{
    if (!is_over(task)) {
        apr_table_setn(ask->r->headers_out, "Retry-After", "1");
    }
    return send_text(ask->r, status, aigw_task_text(ask->r->pool, task, ask->jobs));
}

/* ------------------------------------------------------------------ Prefer: wait=N */

/* As it stands after the wait; it may have gone meanwhile, or the store: then as it was. */
static void answer_late(void *baton, const aigw_task_t *task, int known)
{
    ask_t *ask = baton;
    const aigw_task_t *now;

    if (!known && ask->vt->task_get(ask->store, ask->r->pool, ask->id, ask->owner, 1, &now) == APR_SUCCESS) {
        task = now;
    }
    send_task(ask, ask->created && !is_over(task) ? HTTP_ACCEPTED : HTTP_OK, task);
}

/* The task, at once or when it has ended. */
static int answer(ask_t *ask, const aigw_task_t *task)
{
    const apr_interval_time_t wanted = aigw_task_wait_wanted(ask->r);

    if (wanted && !is_over(task)) {
        ask->id = task->id;
        return aigw_task_wait(ask->r, task, wanted, answer_late, ask);
    }
    return send_task(ask, ask->created && !(wanted && is_over(task)) ? HTTP_ACCEPTED : HTTP_OK, task);
}

/* ------------------------------------------------------------------ the collection */

static int create(ask_t *ask)
{
    request_rec *r = ask->r;
    const aigw_task_t *task;
    const aigw_error_t *error = aigw_task_create(r, ask->vt, ask->store, &task);

    if (error) {
        return aigw_tasks_core->error_send(r, error);
    }
    aigw_task_runner_wake();
    apr_table_setn(r->headers_out, "Location", apr_pstrcat(r->pool, r->uri, r->uri[strlen(r->uri) - 1] == '/' ? "" : "/", task->id, NULL));
    ask->created = 1;
    return answer(ask, task);
}

/* A parameter of the query, decoded; "?", which is none of ours, where that cannot be. NULL: it is not there. */
static const char *query(request_rec *r, const char *name)
{
    const apr_size_t len = strlen(name);
    const char *at = r->args, *end, *value;

    while (at && *at) {
        end = strchr(at, '&');
        if (!strncmp(at, name, len) && at[len] == '=') {
            at += len + 1;
            value = apr_punescape_url(r->pool, apr_pstrndup(r->pool, at, end ? (apr_size_t)(end - at) : strlen(at)), NULL, NULL, 1);
            return value ? value : "?";
        }
        at = end ? end + 1 : NULL;
    }
    return NULL;
}

static int state_of(const char *name)
{
    static const char *const states[] = {"pending", "running", "completed", "failed", "cancelled"};
    int i;

    for (i = 0; i < 5; i++) {
        if (!strcmp(name, states[i])) {
            return i;
        }
    }
    return -2;
}

static int invalid(request_rec *r, const char *param, const char *message)
{
    return aigw_tasks_core->error_send(r, aigw_tasks_core->error_make(r->pool, HTTP_BAD_REQUEST, "validation_error", param, "%s", message));
}

/* 0: it is no number of ours. */
static int limit_of(const char *written)
{
    char *end;
    const apr_int64_t n = written ? apr_strtoi64(written, &end, 10) : PAGE;

    return written && (*written < '0' || *written > '9' || *end || n > PAGE_MAX) ? 0 : (int)n;
}

static int list(ask_t *ask)
{
    request_rec *r = ask->r;
    const char *status = query(r, "status");
    const int limit = limit_of(query(r, "limit"));
    aigw_task_page_t page;
    apr_status_t rv;
    json_t *all;
    int i, state;

    status = status ? status : query(r, "state");
    state = status ? state_of(status) : AIGW_TASK_STATE_ANY;
    if (state < AIGW_TASK_STATE_ANY) {
        return invalid(r, "status", "status must be one of pending, running, completed, failed, cancelled.");
    }
    if (!limit) {
        return invalid(r, "limit", "limit must be an integer from 1 to " APR_STRINGIFY(PAGE_MAX) ".");
    }
    if ((rv = ask->vt->task_list(ask->store, r->pool, ask->owner, state, limit, query(r, "cursor"), &page)) != APR_SUCCESS) {
        return refuse(ask, rv);
    }
    all = json_array();
    for (i = 0; i < page.tasks->nelts; i++) {
        json_array_append_new(all, aigw_task_json(r->pool, APR_ARRAY_IDX(page.tasks, i, const aigw_task_t *), ask->jobs));
    }
    return send_json(r, HTTP_OK, json_pack("{s:o,s:s?}", ask->jobs ? "jobs" : "tasks", all, "next_cursor", page.next));
}

/* ------------------------------------------------------------------ one */

static int read_one(ask_t *ask)
{
    const aigw_task_t *task;
    const apr_status_t rv = ask->vt->task_get(ask->store, ask->r->pool, ask->id, ask->owner, 1, &task);

    if (rv != APR_SUCCESS) {
        return refuse(ask, rv);
    }
    return ask->events ? aigw_task_events(ask->r, task, ask->jobs) : answer(ask, task);
}

/* How long to wait for a task that runs to be cancelled: what the client says (Prefer: wait=N, also 0), else a moment. */
static apr_interval_time_t patience_of(request_rec *r)
{
    return aigw_prefer_wait(apr_table_get(r->headers_in, "Prefer")) < 0 ? CANCEL_WAIT : aigw_task_wait_wanted(r);
}

static int cancel(ask_t *ask)
{
    const apr_interval_time_t patience = patience_of(ask->r);
    const aigw_task_t *task;
    const apr_status_t rv = ask->vt->task_cancel(ask->store, ask->r->pool, ask->id, ask->owner, &task);

    if (rv != APR_SUCCESS) {
        return refuse(ask, rv);
    }
    if (is_over(task) && task->callback_url) {
        aigw_task_callback_wake();
    }
    aigw_task_watch_hint(ask->id);
    if (!is_over(task)) {
        aigw_task_runner_cancel(ask->id);
        if (patience) {
            return aigw_task_wait(ask->r, task, patience, answer_late, ask);
        }
    }
    return send_task(ask, HTTP_OK, task);
}

static int wrong_method(request_rec *r, const char *allow)
{
    apr_table_setn(r->err_headers_out, "Allow", allow);
    return aigw_tasks_core->error_send(
        r, aigw_tasks_core->error_make(r->pool, HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", NULL, "This address takes %s only.", allow));
}

/* What follows the collection's path: an id, and perhaps "events". */
static void read_path(ask_t *ask)
{
    const char *end = ask->r->uri + strlen(ask->r->uri), *slash;

    ask->id = "";
    if (end - ask->r->uri > 7 && !strcmp(end - 7, "/events")) {
        ask->events = 1;
        end -= 7;
    }
    slash = end - ask->r->uri > AIGW_TASK_ID ? end - AIGW_TASK_ID - 1 : end;
    if (*slash == '/' && strspn(slash + 1, "0123456789abcdef") == AIGW_TASK_ID) {
        ask->id = apr_pstrndup(ask->r->pool, slash + 1, AIGW_TASK_ID);
    }
    else {
        ask->events = 0;
    }
}

static int handle_one(ask_t *ask)
{
    if (ask->r->method_number == M_GET) {
        return read_one(ask);
    }
    return ask->r->method_number == M_DELETE && !ask->events ? cancel(ask) : wrong_method(ask->r, ask->events ? "GET" : "GET, DELETE");
}

/* Behind the collection stands something that is no ID of ours. */
static int is_nothing(request_rec *r)
{
    const char *tail = aigw_tasks_tail(r);

    return tail && tail[strspn(tail, "/")];
}

/* The store has text in UTF-8 only: what else httpd lets in as a user's name (Basic) or as a path. */
static const aigw_error_t *unfit(request_rec *r, const aigw_request_t *context)
{
    const char *user = context->identity.user;

    if (user && !aigw_names_valid(user, strlen(user))) {
        return aigw_tasks_core->error_make(r->pool, HTTP_BAD_REQUEST, "bad_request", NULL,
                                           "Who has tasks must have a name of %d bytes at most, in UTF-8 and without control characters.",
                                           AIGW_NAME_MAX);
    }
    return aigw_text_valid(r->uri, strlen(r->uri))
               ? NULL
               : aigw_tasks_core->error_make(r->pool, HTTP_BAD_REQUEST, "bad_request", NULL, "The address is not UTF-8.");
}

int aigw_task_endpoint(request_rec *r)
{
    const aigw_error_t *error;
    const aigw_request_t *context;
    ask_t *ask;

    if (!r->handler || strcmp(r->handler, "aigw-tasks")) {
        return DECLINED;
    }
    ask = apr_pcalloc(r->pool, sizeof *ask); /* a request that waits needs it later */
    ask->r = r;
    ask->jobs = ap_strstr_c(r->uri, "/jobs") != NULL;
    read_path(ask);
    if (!*ask->id && is_nothing(r)) {
        return refuse(ask, APR_NOTFOUND);
    }
    if (!(ask->vt = aigw_tasks_core->store(&ask->store))) {
        return aigw_tasks_core->error_send(r, aigw_tasks_core->store_name() ? aigw_task_unavailable(r->pool) : no_store(r->pool));
    }
    context = aigw_task_who(r);
    if ((error = unfit(r, context)) != NULL) {
        return aigw_tasks_core->error_send(r, error);
    }
    ask->owner = aigw_task_owner(r->pool, context);
    if (*ask->id) {
        return handle_one(ask);
    }
    return r->method_number == M_POST ? create(ask) : r->method_number == M_GET ? list(ask) : wrong_method(r, "GET, POST");
}
