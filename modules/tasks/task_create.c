/* POST: a task is put into the store. */
#include "tasks.h"
#include "aigw_media_type.h"
#include "task_callback_conf.h"
#include "aigw_task_body.h"
#include "aigw_text.h"

#include <http_protocol.h>
#include <http_request.h>
#include <apr_escape.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define FULL     apr_time_from_sec(5) /* when to come again who has all the tasks that he may have */
#define KEY_MAX  255                  /* Idempotency-Key */
#define KEY_KEPT (APR_INT64_C(24) * 3600 * APR_USEC_PER_SEC)

static const aigw_error_t *invalid(apr_pool_t *p, const char *param, const char *message)
{
    return aigw_tasks_core->error_make(p, HTTP_BAD_REQUEST, "validation_error", param, "%s", message);
}

static const aigw_error_t *no_memory(apr_pool_t *p)
{
    return aigw_tasks_core->error_make(p, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
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

    if (key && (!*key || strlen(key) > KEY_MAX || !aigw_text_valid(key, strlen(key)))) {
        return invalid(r->pool, "Idempotency-Key", "Idempotency-Key must have 1 to 255 characters, in UTF-8.");
    }
    once->key = key;
    once->keep = KEY_KEPT;
    return NULL;
}

static const aigw_error_t *refusal(apr_pool_t *p, apr_status_t rv)
{
    aigw_error_t *error;

    switch (rv) {
    case APR_EMISMATCH:
        return aigw_tasks_core->error_make(p, HTTP_UNPROCESSABLE_ENTITY, "idempotency_mismatch", NULL,
                                           "This Idempotency-Key was used for another request.");
    case APR_ENOSPC:
        error = aigw_tasks_core->error_make(p, HTTP_TOO_MANY_REQUESTS, "quota_exceeded", NULL,
                                            "You have %d tasks that are not finished, and may have no more.", aigw_tasks_conf()->per_user);
        error->retry_after = FULL;
        return error;
    case APR_EOF:
    case APR_NOTFOUND: /* the key outlives its task where that has a short TTL */
        return aigw_tasks_core->error_make(p, HTTP_GONE, "gone", NULL,
                                           "The task of this Idempotency-Key is finished, and is not kept any more.");
    default:
        return aigw_task_unavailable(p);
    }
}

/* Where this server has the endpoint at its own address too, who may not ask it there may not by a task: Require, scopes and all. */
static const aigw_error_t *permitted(request_rec *r, const char *endpoint)
{
    request_rec *there = ap_sub_req_method_uri("POST", endpoint, r, NULL);
    const int refused = (there->status == HTTP_UNAUTHORIZED || there->status == HTTP_FORBIDDEN) && aigw_tasks_here(there);

    ap_destroy_sub_req(there);
    return refused ? aigw_tasks_core->error_make(r->pool, HTTP_FORBIDDEN, "insufficient_scope", "endpoint", "You may not ask %s.", endpoint)
                   : NULL;
}

static const aigw_error_t *callback_allowed(apr_pool_t *p, const char *text)
{
    const aigw_callback_list_t *allow = &aigw_tasks_conf()->callback->allow;
    aigw_callback_url_t url;
    const char *wrong;

    if (!text) {
        return NULL;
    }
    if (aigw_callback_list_is_empty(allow)) {
        return invalid(p, "callback_url", "This gateway sends no callbacks: leave callback_url out, and ask for the task.");
    }
    if ((wrong = aigw_callback_url_read(p, text, &url))) {
        return invalid(p, "callback_url", apr_pstrcat(p, "callback_url ", wrong, ".", NULL));
    }
    return aigw_callback_list_has(allow, &url)
               ? NULL
               : invalid(p, "callback_url", "This gateway sends no callbacks to this host, by this scheme and on this port.");
}

/* The built-in model says as many words as there are steps; others are only told how many they may say. */
static const char *request_of(apr_pool_t *p, const aigw_task_body_t *body, const aigw_model_t *model)
{
    if (!body->steps || strcmp(model->upstream->provider_name, "echo")) {
        return body->request;
    }
    return apr_psprintf(p, "%.*s,\"" AIGW_TASK_STEPS "\":%" APR_INT64_T_FMT "}", (int)body->len - 1, body->request, body->steps);
}

static const aigw_error_t *put(request_rec *r, const aigw_store_vt *vt, aigw_store_t *store, const aigw_task_body_t *body,
                               const aigw_model_t *model, const aigw_task_once_t *once, const aigw_task_t **task)
{
    const aigw_request_t *context = aigw_tasks_core->request(r);
    aigw_task_t from = {.id = new_id(r->pool),
                        .owner = aigw_task_owner(r->pool, context),
                        .server = aigw_task_server_name(r->pool, r->server),
                        .identity = aigw_task_identity_write(r->pool, context, r->uri),
                        .endpoint = body->endpoint,
                        .model = model->name,
                        .request = request_of(r->pool, body, model),
                        .priority = body->priority,
                        .ttl = body->ttl,
                        .callback_url = body->callback_url};
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
    aigw_task_fault_t fault;
    aigw_task_body_t body;
    char *data;
    apr_size_t len;

    if (!aigw_media_type_is_json(apr_table_get(r->headers_in, "Content-Type"))) {
        return aigw_tasks_core->error_make(r->pool, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", NULL,
                                           "The body must be JSON: send it with Content-Type: application/json.");
    }
    if (error || (error = aigw_tasks_core->body_read(r, aigw_tasks_conf()->max_body, &data, &len))) {
        return error;
    }
    if (aigw_task_body_read(&body, data, len, aigw_tasks_conf()->ttl, r->pool, &fault) != APR_SUCCESS) {
        return aigw_tasks_core->error_make(r->pool, HTTP_BAD_REQUEST, fault.code, fault.param, "%s", fault.message);
    }
    if (body.ttl > aigw_tasks_conf()->ttl_max) {
        return aigw_tasks_core->error_make(r->pool, HTTP_BAD_REQUEST, "validation_error", "ttl",
                                           "ttl must be an integer from 1 to %" APR_INT64_T_FMT ".",
                                           (apr_int64_t)apr_time_sec(aigw_tasks_conf()->ttl_max));
    }
    if ((error = callback_allowed(r->pool, body.callback_url)) != NULL) {
        return error;
    }
    once.fingerprint = fingerprint(r->pool, data, len);
    error = aigw_tasks_check(r->server, r->pool, body.endpoint, body.request, body.len, body.prefix, &model);
    if (error || (error = permitted(r, body.endpoint))) {
        return error;
    }
    if (!aigw_tasks_core->model_allowed(aigw_tasks_core->request(r), model)) {
        return aigw_tasks_core->error_make(r->pool, HTTP_FORBIDDEN, "model_not_allowed", apr_pstrcat(r->pool, body.prefix, "model", NULL),
                                           "You may not use this model.");
    }
    return put(r, vt, store, &body, model, &once, task);
}
