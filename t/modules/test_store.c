#include "test_store.h"

#include <apr_strings.h>
#include <jansson.h>

#define MANY 256

/* What an operation works on. */
typedef struct work_t {
    const aigw_store_vt *vt;
    aigw_store_t *store;
    apr_pool_t *p;
    json_t *in, *out;
} work_t;

typedef struct operation_t {
    const char *name;
    apr_status_t (*fn)(work_t *w);
} operation_t;

/* ------------------------------------------------------------------ arguments */

static const char *text(const json_t *in, const char *name)
{
    return json_string_value(json_object_get(in, name));
}

static apr_int64_t number(const json_t *in, const char *name)
{
    return json_integer_value(json_object_get(in, name));
}

static void put_text(json_t *out, const char *name, const char *value)
{
    json_object_set_new(out, name, value ? json_string(value) : json_null());
}

static void put_number(json_t *out, const char *name, apr_int64_t value)
{
    json_object_set_new(out, name, json_integer(value));
}

static json_t *task_json(const aigw_task_t *task)
{
    json_t *out = json_object();

    put_text(out, "id", task->id);
    put_text(out, "owner", task->owner);
    put_text(out, "server", task->server);
    put_text(out, "identity", task->identity);
    put_text(out, "endpoint", task->endpoint);
    put_text(out, "model", task->model);
    put_text(out, "request", task->request);
    put_text(out, "result", task->result);
    put_text(out, "error", task->error);
    put_text(out, "usage", task->usage);
    put_text(out, "callback_url", task->callback_url);
    put_number(out, "priority", task->priority);
    put_number(out, "state", task->state);
    put_number(out, "attempts", task->attempts);
    put_number(out, "claims", task->claims);
    put_number(out, "cancelling", task->cancelling);
    put_number(out, "tokens", task->tokens);
    put_number(out, "created", task->created);
    put_number(out, "started", task->started);
    put_number(out, "completed", task->completed);
    put_number(out, "expires", task->expires);
    put_number(out, "ttl", task->ttl);
    json_object_set_new(out, "progress", json_real(task->progress));
    return out;
}

static void put_task(work_t *w, apr_status_t rv, const aigw_task_t *task)
{
    if (task && (rv == APR_SUCCESS || rv == APR_EEXIST)) {
        json_object_set_new(w->out, "task", task_json(task));
    }
}

static aigw_task_lease_t lease_of(const json_t *in)
{
    const aigw_task_lease_t lease = {text(in, "id"), text(in, "holder"), number(in, "number")};

    return lease;
}

/* ------------------------------------------------------------------ operations */

static apr_status_t create(work_t *w)
{
    const json_t *from = json_object_get(w->in, "task"), *once = json_object_get(w->in, "once");
    const aigw_task_t task = {.id = text(from, "id"),
                              .owner = text(from, "owner"),
                              .server = "test:80",
                              .identity = "{}",
                              .endpoint = "/v1/chat/completions",
                              .model = "echo",
                              .request = text(from, "request"),
                              .priority = (int)number(from, "priority"),
                              .ttl = number(from, "ttl"),
                              .callback_url = text(from, "callback_url")};
    const aigw_task_once_t key = {text(once, "key"), text(once, "fingerprint"), number(once, "keep")};
    const aigw_task_t *made = NULL;
    const apr_status_t rv = w->vt->task_create(w->store, w->p, &task, once ? &key : NULL, (int)number(w->in, "max"), &made);

    put_task(w, rv, made);
    return rv;
}

static apr_status_t get(work_t *w)
{
    const aigw_task_t *task = NULL;
    const apr_status_t rv =
        w->vt->task_get(w->store, w->p, text(w->in, "id"), text(w->in, "owner"), json_is_true(json_object_get(w->in, "with")), &task);

    put_task(w, rv, task);
    return rv;
}

static apr_status_t look(work_t *w)
{
    const json_t *all = json_object_get(w->in, "ids"), *id;
    const char *ids[MANY];
    const aigw_task_t *tasks[MANY];
    json_t *found = json_array();
    size_t i, n = json_array_size(all);
    apr_status_t rv;

    json_array_foreach(all, i, id)
    {
        ids[i] = json_string_value(id);
    }
    rv = w->vt->task_look(w->store, w->p, ids, (int)n, tasks);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        json_array_append_new(found, tasks[i] ? task_json(tasks[i]) : json_null());
    }
    json_object_set_new(w->out, "tasks", found);
    return rv;
}

static apr_status_t list(work_t *w)
{
    aigw_task_page_t page;
    json_t *tasks = json_array();
    const apr_status_t rv = w->vt->task_list(w->store, w->p, text(w->in, "owner"), (int)number(w->in, "state"), (int)number(w->in, "limit"),
                                             text(w->in, "cursor"), &page);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < page.tasks->nelts; i++) {
        json_array_append_new(tasks, task_json(APR_ARRAY_IDX(page.tasks, i, const aigw_task_t *)));
    }
    json_object_set_new(w->out, "tasks", tasks);
    put_text(w->out, "next", rv == APR_SUCCESS ? page.next : NULL);
    return rv;
}

static apr_status_t cancel(work_t *w)
{
    const aigw_task_t *task = NULL;
    const apr_status_t rv = w->vt->task_cancel(w->store, w->p, text(w->in, "id"), text(w->in, "owner"), &task);

    put_task(w, rv, task);
    return rv;
}

static apr_status_t claim(work_t *w)
{
    const aigw_task_t *tasks[MANY];
    aigw_task_lease_t leases[MANY];
    json_t *all = json_array();
    int i, n = 0;
    const apr_status_t rv =
        w->vt->task_claim(w->store, w->p, text(w->in, "holder"), (int)number(w->in, "max"), number(w->in, "lease"), tasks, leases, &n);

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        json_t *task = task_json(tasks[i]);

        put_text(task, "holder", leases[i].holder);
        put_number(task, "number", leases[i].number);
        json_array_append_new(all, task);
    }
    json_object_set_new(w->out, "tasks", all);
    return rv;
}

static apr_status_t beat(work_t *w)
{
    const json_t *all = json_object_get(w->in, "beats"), *in;
    aigw_task_beat_t beats[MANY];
    json_t *said = json_array();
    size_t i, n = json_array_size(all);
    apr_status_t rv;

    json_array_foreach(all, i, in)
    {
        const aigw_task_beat_t beat = {lease_of(in), json_number_value(json_object_get(in, "progress")), number(in, "tokens"), 0, 0};

        beats[i] = beat;
    }
    rv = w->vt->task_beat(w->store, w->p, beats, (int)n, number(w->in, "lease"));
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        json_array_append_new(said, json_string(beats[i].lost ? "lost" : beats[i].cancelling ? "cancelling" : "yours"));
    }
    json_object_set_new(w->out, "said", said);
    return rv;
}

static apr_status_t end(work_t *w)
{
    const json_t *all = json_object_get(w->in, "ends"), *in;
    aigw_task_end_t ends[MANY];
    json_t *said = json_array();
    size_t i, n = json_array_size(all);
    apr_status_t rv;

    json_array_foreach(all, i, in)
    {
        const aigw_task_end_t e = {.lease = lease_of(in),
                                   .state = (aigw_task_state_e)number(in, "state"),
                                   .result = text(in, "result"),
                                   .error = text(in, "error"),
                                   .usage = text(in, "usage"),
                                   .tokens = number(in, "tokens"),
                                   .delay = number(in, "delay")};

        ends[i] = e;
    }
    rv = w->vt->task_end(w->store, w->p, ends, (int)n);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        json_array_append_new(said, json_string(ends[i].lost ? "lost" : "written"));
    }
    json_object_set_new(w->out, "said", said);
    return rv;
}

static apr_status_t sweep(work_t *w)
{
    int more = 0;
    const apr_status_t rv = w->vt->task_sweep(w->store, w->p, (int)number(w->in, "attempts"), text(w->in, "error"), &more);

    json_object_set_new(w->out, "more", json_boolean(more));
    return rv;
}

static apr_status_t callbacks(work_t *w)
{
    aigw_callback_t due[MANY];
    json_t *all = json_array();
    int i, n = 0;
    const apr_status_t rv = w->vt->callback_claim(w->store, w->p, (int)number(w->in, "max"), number(w->in, "lease"), due, &n);

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        json_t *one = json_object();

        put_text(one, "task", due[i].task);
        put_text(one, "id", due[i].id);
        put_text(one, "url", due[i].url);
        put_number(one, "attempts", due[i].attempts);
        put_number(one, "first", due[i].first);
        put_number(one, "lease", due[i].lease);
        json_array_append_new(all, one);
    }
    json_object_set_new(w->out, "callbacks", all);
    return rv;
}

static apr_status_t tried(work_t *w)
{
    const aigw_callback_t callback = {.task = text(w->in, "task"), .lease = number(w->in, "lease")};

    return w->vt->callback_tried(w->store, w->p, &callback, number(w->in, "next"));
}

static apr_status_t count(work_t *w)
{
    apr_int64_t states[5], waiting = 0;
    const apr_status_t rv = w->vt->count(w->store, w->p, states, &waiting);
    json_t *all = json_array();
    int i;

    for (i = 0; rv == APR_SUCCESS && i < 5; i++) {
        json_array_append_new(all, json_integer(states[i]));
    }
    json_object_set_new(w->out, "states", all);
    put_number(w->out, "callbacks", waiting);
    return rv;
}

static apr_status_t ping(work_t *w)
{
    return w->vt->ping(w->store);
}

/* ------------------------------------------------------------------ one request */

static const operation_t operations[] = {
    {"create", create}, {"get", get},     {"look", look},   {"list", list},   {"cancel", cancel},       {"claim", claim}, {"beat", beat},
    {"end", end},       {"sweep", sweep}, {"count", count}, {"tried", tried}, {"callbacks", callbacks}, {"ping", ping}};

static const char *name_of(apr_pool_t *p, apr_status_t rv)
{
    static const struct {
        apr_status_t rv;
        const char *name;
    } names[] = {{APR_SUCCESS, "ok"},     {APR_EAGAIN, "again"},       {APR_NOTFOUND, "notfound"},
                 {APR_EOF, "gone"},       {APR_EEXIST, "exists"},      {APR_ENOSPC, "full"},
                 {APR_EINVAL, "invalid"}, {APR_EMISMATCH, "mismatch"}, {APR_EGENERAL, "mistake"}};
    apr_size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].rv == rv) {
            return names[i].name;
        }
    }
    return apr_itoa(p, rv);
}

const char *test_store(request_rec *r, const aigw_core_t *core, const char *body)
{
    work_t w = {.p = r->pool, .in = json_loads(body, 0, NULL), .out = json_object()};
    const char *op = text(w.in, "op");
    char *said;
    apr_size_t i;

    w.vt = core->store(&w.store);
    put_text(w.out, "rv", w.vt ? "no such operation" : "no store");
    for (i = 0; w.vt && op && i < sizeof operations / sizeof *operations; i++) {
        if (!strcmp(op, operations[i].name)) {
            put_text(w.out, "rv", name_of(r->pool, operations[i].fn(&w)));
        }
    }
    said = json_dumps(w.out, JSON_COMPACT);
    body = apr_pstrdup(r->pool, said);
    free(said);
    json_decref(w.in);
    json_decref(w.out);
    return body;
}
