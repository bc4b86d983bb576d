/* POST: a task from {"endpoint", "body", "priority"?, "ttl"?, "callback_url"?}, or from the short form {"prompt", "model"?, "steps"?}. */
#include "tasks.h"
#include "task_callback_conf.h"
#include "aigw_text.h"

#include <http_protocol.h>
#include <apr_escape.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define CHAT         "/v1/chat/completions"
#define PROMPT_MAX   4000 /* characters, as on /api/v1/generate */
#define STEPS_MAX    100000
#define PRIORITY_MAX 100
#define TTL_MAX      (366 * 24 * 3600)
#define KEY_MAX      255 /* Idempotency-Key */
#define KEY_KEPT     (APR_INT64_C(24) * 3600 * APR_USEC_PER_SEC)

/* What the client asked for. */
typedef struct wish_t {
    const char *endpoint;
    const char *body; /* JSON */
    int priority;
    apr_interval_time_t ttl;
    const char *callback_url; /* NULL: none */
} wish_t;

static const aigw_error_t *invalid(apr_pool_t *p, const char *param, const char *message)
{
    return aigw_tasks_core->error_make(p, HTTP_BAD_REQUEST, "validation_error", param, "%s", message);
}

static const aigw_error_t *no_memory(apr_pool_t *p)
{
    return aigw_tasks_core->error_make(p, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
}

/* A whole number; *to stays where there is none. */
static const aigw_error_t *read_number(apr_pool_t *p, const json_t *from, const char *name, apr_int64_t min, apr_int64_t max,
                                       apr_int64_t *to)
{
    const json_t *value = json_object_get(from, name);

    if (!value || json_is_null(value)) {
        return NULL;
    }
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max) {
        return aigw_tasks_core->error_make(p, HTTP_BAD_REQUEST, "validation_error", name,
                                           "%s must be an integer from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT ".", name, min, max);
    }
    *to = json_integer_value(value);
    return NULL;
}

static const char *keep(apr_pool_t *p, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    const char *copy = text ? apr_pstrdup(p, text) : NULL;

    free(text);
    return copy;
}

static const aigw_error_t *known(apr_pool_t *p, json_t *from, const char *const *names)
{
    const char *name;
    json_t *value;
    int i;

    json_object_foreach(from, name, value)
    {
        for (i = 0; names[i] && strcmp(names[i], name); i++) {
        }
        if (!names[i]) {
            return invalid(p, aigw_text_shown(p, name, 100), "This member is not known here.");
        }
    }
    return NULL;
}

/* {"prompt", "model"?, "steps"?}: a chat completion of one message; steps are how long the answer may be. */
static const aigw_error_t *read_short(apr_pool_t *p, json_t *from, wish_t *wish)
{
    static const char *const names[] = {"prompt", "model", "steps", "priority", "ttl", "callback_url", NULL};
    const json_t *prompt = json_object_get(from, "prompt");
    json_t *model = json_object_get(from, "model"), *body;
    const aigw_error_t *error = known(p, from, names);
    apr_int64_t steps = 0;

    if (error || (error = read_number(p, from, "steps", 1, STEPS_MAX, &steps))) {
        return error;
    }
    if (!json_is_string(prompt) || !json_string_length(prompt)) {
        return invalid(p, "prompt", "prompt must be a string that says something.");
    }
    body = json_pack("{s:[{s:s,s:O}]}", "messages", "role", "user", "content", prompt);
    if (body && model && !json_is_null(model)) {
        json_object_set(body, "model", model);
    }
    if (body && steps) {
        json_object_set_new(body, "max_tokens", json_integer(steps));
    }
    wish->endpoint = CHAT;
    wish->body = keep(p, body);
    json_decref(body);
    return wish->body ? NULL : no_memory(p);
}

static const aigw_error_t *read_long(apr_pool_t *p, json_t *from, wish_t *wish)
{
    static const char *const names[] = {"endpoint", "body", "priority", "ttl", "callback_url", NULL};
    const json_t *endpoint = json_object_get(from, "endpoint");
    const aigw_error_t *error = known(p, from, names);

    if (error) {
        return error;
    }
    if (!json_is_string(endpoint)) {
        return invalid(p, "endpoint", "endpoint must be a string, such as /v1/chat/completions; or send a prompt.");
    }
    if (!json_is_object(json_object_get(from, "body"))) {
        return invalid(p, "body", "body must be an object: what you would send to the endpoint.");
    }
    wish->endpoint = apr_pstrdup(p, json_string_value(endpoint));
    wish->body = keep(p, json_object_get(from, "body"));
    return wish->body ? NULL : no_memory(p);
}

static const aigw_error_t *read_callback(apr_pool_t *p, const json_t *from, const char **to)
{
    const json_t *value = json_object_get(from, "callback_url");
    const aigw_callback_list_t *allow = &aigw_tasks_conf()->callback->allow;
    aigw_callback_url_t url;
    const char *wrong;

    if (!value || json_is_null(value)) {
        return NULL;
    }
    if (aigw_callback_list_is_empty(allow)) {
        return invalid(p, "callback_url", "This gateway sends no callbacks: leave callback_url out, and ask for the task.");
    }
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
        return invalid(p, "callback_url", "callback_url must be a string.");
    }
    if ((wrong = aigw_callback_url_read(p, json_string_value(value), &url))) {
        return invalid(p, "callback_url", apr_pstrcat(p, "callback_url ", wrong, ".", NULL));
    }
    if (!aigw_callback_list_has(allow, &url)) {
        return invalid(p, "callback_url", "This gateway sends no callbacks to this host, by this scheme and on this port.");
    }
    *to = apr_pstrdup(p, json_string_value(value));
    return NULL;
}

static const aigw_error_t *read_wish(apr_pool_t *p, json_t *from, wish_t *wish)
{
    apr_int64_t priority = 0, ttl = apr_time_sec(aigw_tasks_conf()->ttl);
    const aigw_error_t *error;

    if (!json_is_object(from)) {
        return invalid(p, NULL, "The body must be a JSON object.");
    }
    error = json_object_get(from, "prompt") ? read_short(p, from, wish) : read_long(p, from, wish);
    if (error || (error = read_number(p, from, "priority", -PRIORITY_MAX, PRIORITY_MAX, &priority)) ||
        (error = read_number(p, from, "ttl", 1, TTL_MAX, &ttl)) || (error = read_callback(p, from, &wish->callback_url))) {
        return error;
    }
    wish->priority = (int)priority;
    wish->ttl = apr_time_from_sec(ttl);
    return NULL;
}

/* ------------------------------------------------------------------ making it */

static const char *new_id(apr_pool_t *p)
{
    unsigned char random[AIGW_TASK_ID / 2];

    return RAND_bytes(random, sizeof random) == 1 ? apr_pescape_hex(p, random, sizeof random, 0) : NULL;
}

/* Of what the client sent, byte for byte. */
static const char *fingerprint(apr_pool_t *p, const char *data, apr_size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    return EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL) == 1 ? apr_pescape_hex(p, digest, n, 0) : NULL;
}

static const aigw_error_t *read_key(request_rec *r, aigw_task_once_t *once)
{
    const char *key = apr_table_get(r->headers_in, "Idempotency-Key");

    if (key && (!*key || strlen(key) > KEY_MAX)) {
        return invalid(r->pool, "Idempotency-Key", "Idempotency-Key must have 1 to 255 characters.");
    }
    once->key = key;
    once->keep = KEY_KEPT;
    return NULL;
}

static const aigw_error_t *refusal(apr_pool_t *p, apr_status_t rv)
{
    switch (rv) {
    case APR_EMISMATCH:
        return aigw_tasks_core->error_make(p, HTTP_UNPROCESSABLE_ENTITY, "idempotency_mismatch", NULL,
                                           "This Idempotency-Key was used for another request.");
    case APR_ENOSPC:
        return aigw_tasks_core->error_make(p, HTTP_TOO_MANY_REQUESTS, "quota_exceeded", NULL,
                                           "You have %d tasks that are not finished, and may have no more.", aigw_tasks_conf()->per_user);
    default:
        return aigw_task_unavailable(p);
    }
}

static const aigw_error_t *put(request_rec *r, const aigw_store_vt *vt, aigw_store_t *store, const wish_t *wish, const aigw_model_t *model,
                               const aigw_task_once_t *once, const aigw_task_t **task)
{
    const aigw_request_t *context = aigw_tasks_core->request(r);
    aigw_task_t from = {.id = new_id(r->pool),
                        .owner = aigw_task_owner(r->pool, context),
                        .server = aigw_task_server_name(r->pool, r->server),
                        .identity = aigw_task_identity_write(r->pool, context),
                        .endpoint = wish->endpoint,
                        .model = model->name,
                        .request = wish->body,
                        .priority = wish->priority,
                        .ttl = wish->ttl,
                        .callback_url = wish->callback_url};
    apr_status_t rv;

    if (!from.id || !from.identity || !once->fingerprint) {
        return no_memory(r->pool);
    }
    rv = vt->task_create(store, r->pool, &from, once, aigw_tasks_conf()->per_user, task);
    return rv == APR_SUCCESS || rv == APR_EEXIST ? NULL : refusal(r->pool, rv);
}

const aigw_error_t *aigw_task_create(request_rec *r, const aigw_store_vt *vt, aigw_store_t *store, const aigw_task_t **task)
{
    const aigw_model_t *model;
    aigw_task_once_t once;
    const aigw_error_t *error = read_key(r, &once);
    json_error_t fault;
    wish_t wish = {NULL, NULL, 0, 0, NULL};
    char *data;
    apr_size_t len;
    json_t *from;

    if (error || (error = aigw_tasks_core->body_read(r, aigw_tasks_conf()->max_body, &data, &len))) {
        return error;
    }
    if (!(from = json_loadb(data, len, JSON_REJECT_DUPLICATES, &fault))) {
        return aigw_tasks_core->error_make(r->pool, HTTP_BAD_REQUEST, "invalid_json", NULL,
                                           "The body is not valid JSON: at line %d, column %d.", fault.line, fault.column);
    }
    once.fingerprint = fingerprint(r->pool, data, len);
    error = read_wish(r->pool, from, &wish);
    json_decref(from);
    if (error || (error = aigw_tasks_check(r->server, r->pool, wish.endpoint, wish.body, strlen(wish.body), "body.", &model))) {
        return error;
    }
    if (!aigw_tasks_core->model_allowed(aigw_tasks_core->request(r), model)) {
        return aigw_tasks_core->error_make(r->pool, HTTP_FORBIDDEN, "model_not_allowed", "body.model", "You may not use this model.");
    }
    return put(r, vt, store, &wish, model, &once, task);
}
