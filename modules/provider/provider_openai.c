/* Any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, Ollama, another mod_aigw. What is asked is built here, what comes back is read
 * in openai_answer.c. */
#include "providers.h"
#include "openai_answer.h"
#include "../core/error.h"
#include "../core/http_source.h"
#include "aigw_chat_edit.h"

#include <apr_strings.h>
#include <math.h>

static const char *configure(aigw_upstream_t *up, apr_pool_t *p, const char *key, const char *value)
{
    return apr_psprintf(p, "AIGWUpstream openai: there is no setting '%s': known are model, key, disconnect, header.NAME", key);
}

/* The name that the upstream knows. */
static const char *upstream_model(const aigw_call_t *call)
{
    return call->model->upstream->model ? call->model->upstream->model : call->model->name;
}

static int streams(const aigw_call_t *call)
{
    return call->stream || call->piecewise;
}

/* The client's own bytes with a few edits; openai_answer.c takes a usage that the client did not ask for out again. */
static const aigw_error_t *edit_body(aigw_call_t *call, aigw_http_request_t *req)
{
    req->body = aigw_chat_edit(call->body->chat, upstream_model(call), streams(call), call->pool, &req->nbody);
    if (req->body) {
        return NULL;
    }
    return call->body->chat->stream_options
               ? aigw_error_make(call->pool, 400, "validation_error", "stream_options", "stream_options has the same member too often.")
               : aigw_error_make(call->pool, 500, "internal_error", NULL, "The request could not be prepared for the model server.");
}

static apr_status_t free_dump(void *dump)
{
    free(dump);
    return APR_SUCCESS;
}

/* A body of our own, for dialects that are not OpenAI's. */
static const aigw_error_t *make_body(aigw_call_t *call, aigw_http_request_t *req)
{
    apr_int64_t max = call->max_tokens >= 0 ? call->max_tokens : call->model->max_tokens;
    json_t *root = json_pack("{s:s,s:O,s:b}", "model", upstream_model(call), "messages", call->messages, "stream", streams(call));
    struct iovec *iov = apr_palloc(call->pool, sizeof *iov);
    char *dump;

    if (root && max > 0) {
        json_object_set_new(root, "max_tokens", json_integer(max));
    }
    if (root && !isnan(call->temperature)) {
        json_object_set_new(root, "temperature", json_real(call->temperature));
    }
    if (root && streams(call)) {
        json_object_set_new(root, "stream_options", json_pack("{s:b}", "include_usage", 1));
    }
    dump = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!dump) {
        return aigw_error_make(call->pool, 500, "internal_error", NULL, "The gateway is out of memory.");
    }
    apr_pool_cleanup_register(call->pool, dump, free_dump, apr_pool_cleanup_null);
    iov->iov_base = dump;
    iov->iov_len = strlen(dump);
    req->body = iov;
    req->nbody = 1;
    return NULL;
}

static const aigw_error_t *openai_open(aigw_call_t *call)
{
    const aigw_upstream_t *up = call->model->upstream;
    aigw_http_request_t *req = apr_pcalloc(call->pool, sizeof *req);
    apr_table_t *headers = apr_table_make(call->pool, 4);
    const aigw_error_t *error = call->body ? edit_body(call, req) : make_body(call, req);

    if (error) {
        return error;
    }
    apr_table_setn(headers, "Content-Type", "application/json");
    apr_table_setn(headers, "Accept", streams(call) ? "text/event-stream" : "application/json");
    if (up->key) {
        apr_table_setn(headers, "Authorization", apr_pstrcat(call->pool, "Bearer ", up->key, NULL));
    }
    req->path = "/chat/completions";
    req->headers = headers;
    req->decoder = &aigw_openai_decoder;
    req->baton = aigw_openai_answer_make(call);
    aigw_http_source(call, req);
    return NULL;
}

const aigw_provider_t aigw_provider_openai = {1, configure, openai_open};
