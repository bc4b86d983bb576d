/* The core's table: everything that one module of the suite, or a third-party module, may ask of mod_aigw. Got by one optional function:
 *
 *     static const aigw_core_t *core;                        // in optional_fn_retrieve
 *     APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);
 *     core = get ? get(AIGW_CORE_VERSION) : NULL;            // NULL: mod_aigw is not loaded, or too old
 *
 * Members are only ever added at the end; AIGW_CORE_VERSION counts the additions.
 */
#ifndef AIGW_H
#define AIGW_H

#include <httpd.h>
#include <http_config.h>
#include <apr_optional.h>
#include "aigw_call.h"
#include "aigw_error.h"
#include "aigw_http.h"
#include "aigw_model.h"
#include "aigw_provider.h"
#include "aigw_redis.h"
#include "aigw_request.h"
#include "aigw_sink.h"
#include "aigw_source.h"
#include "aigw_store.h"
#include "aigw_version.h"

#define AIGW_CORE_VERSION 4

/* Background work: fn(baton, p) on the child's one background thread, with a pool of its own that is cleared after it. */
typedef void (*aigw_defer_fn)(void *baton, apr_pool_t *p);

/* What may stand inside <AIGWTier>: in register_hooks a module names each directive of its own that it looks for in tier_conf(),
 *     ap_register_provider(p, AIGW_TIER_DIRECTIVE, "AIGWLimit", "0", &x_module);
 * All others are refused when the configuration is read: they would have no effect. */
#define AIGW_TIER_DIRECTIVE "aigw_tier_directive"

typedef struct aigw_core_t {
    int version;

    /* --- requests; thread: the owner of r --- */

    /* The context of r, made if there is none yet; never NULL. Sets X-Request-ID on the response. */
    aigw_request_t *(*request)(request_rec *r);

    /* An error in p; message is printf-formatted. code, param may be NULL. */
    aigw_error_t *(*error_make)(apr_pool_t *p, int status, const char *code, const char *param, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

    /* Answers r with the error in JSON, nothing having been sent yet. Returns what a handler returns. An ErrorDocument does not apply.
     * The connection closes where the request's body was not read. */
    int (*error_send)(request_rec *r, const aigw_error_t *error);

    /* The same error as a JSON text in p: {"error":{…}}. */
    char *(*error_json)(apr_pool_t *p, const aigw_error_t *error);

    /* Reads the whole body of r (blocking; mod_reqtimeout and LimitRequestBody hold) into one malloc'ed block that goes with r->pool.
     * limit: bytes, where LimitRequestBody does not say otherwise. NULL, or the error (400, 408, 413; 500 without memory). */
    const aigw_error_t *(*body_read)(request_rec *r, apr_off_t limit, char **data, apr_size_t *len);
    void (*body_free)(request_rec *r, char *data); /* earlier than r->pool would; harmless twice */

    /* --- models; any thread --- */

    /* The model of that name or alias in r's or s's catalogue; name NULL: the default. NULL: none. */
    const aigw_model_t *(*model_find)(server_rec *s, const char *name);
    /* All models in the order of the configuration: const aigw_model_t *. Never NULL. */
    const apr_array_header_t *(*models)(server_rec *s);

    /* --- calls --- */

    /* A call on behalf of r, to be filled in and run. Its pool is r->pool, or its own where the upstream's policy lets it outlive r. Thread: owner of r. */
    aigw_call_t *(*call_make)(request_rec *r, const aigw_model_t *model);
    /* A call without a client, in a pool that hangs on no other; context is copied, and context->section says what configuration holds. NULL: out of memory. Any thread. */
    aigw_call_t *(*call_make_detached)(server_rec *s, const aigw_request_t *context, const aigw_model_t *model);

    /* Makes the call for the handler of r: admits, opens, and either runs it here or parks the connection. Returns what the handler must return (OK or SUSPENDED).
     * The sink's end() answers the client, also when the call is refused. */
    int (*call_run)(request_rec *r, aigw_call_t *call, aigw_sink_t *sink);

    /* Starts a detached call on the child's engine and returns at once; sink->end() runs on a thread of the engine's when it is over, and right after it the
     * call's pool is destroyed. APR_SUCCESS, or an error (the child is stopping): then nothing runs, end() neither, and the call is gone. */
    apr_status_t (*call_start)(aigw_call_t *call, aigw_sink_t *sink);

    /* Ends a detached call soon, from any thread. The caller must know that the call is not over yet (its end() has not returned). */
    void (*call_cancel)(aigw_call_t *call);

    /* One event from a source to the sink. Returns what the sink said. */
    apr_status_t (*call_emit)(aigw_call_t *call, const aigw_event_t *ev);

    /* The source that asks an HTTP upstream; for a provider's open(). */
    void (*http_source)(aigw_call_t *call, const aigw_http_request_t *request);

    /* --- work after the response; any thread --- */

    /* Queues fn(baton). name (a constant) is for the log. APR_SUCCESS; APR_EAGAIN: the queue is full (nothing is called, a numbered line is logged); APR_EOF: the child is
     * stopping. What is queued is run before a child that stops gracefully exits. */
    apr_status_t (*defer)(const char *name, aigw_defer_fn fn, void *baton);

    /* --- version 2 --- */

    /* 1 if the identity of this context may use the model, and its location gives it. Thread: the owner of the context. */
    int (*model_allowed)(const aigw_request_t *context, const aigw_model_t *model);

    /* --- version 3: tiers; constant once the configuration is read; any thread --- */

    /* The tier that counts for this identity: its own where <AIGWTier> of that name is known to s, else that of AIGWDefaultTier. NULL: none. */
    const char *(*tier_name)(const server_rec *s, const aigw_identity_t *identity);

    /* What stands inside <AIGWTier name>: a per-directory vector, from which each module gets its own by ap_get_module_config() (NULL where none of its directives is in there). NULL: there is no such
     * tier. */
    const ap_conf_vector_t *(*tier_conf)(const server_rec *s, const char *name);

    /* What AIGWRedis says, for the whole server; NULL: it is not there. Known from post_config on (of APR_HOOK_MIDDLE and later). */
    aigw_redis_t *(*redis)(void);
    const aigw_redis_vt *redis_vt;

    /* What AIGWStore says; NULL: there is none, or this child could not open it. In a child, from child_init (of APR_HOOK_MIDDLE) on. */
    const aigw_store_vt *(*store)(aigw_store_t **store);

    /* --- version 4 --- */

    /* A call on behalf of r that asks no model: its events come from a source of the maker's own, which waits for something (a task, a room). To be filled in (stream) and given to call_run() as any
     * other. call->model is one that nobody can ask for; call_admit and call_settle do not run; of the time-outs only Timeout holds, for a client that takes nothing: the source has its own in wake.
     * Thread: owner of r. */
    aigw_call_t *(*call_make_watching)(request_rec *r, aigw_source_t *source);

    /* --- secrets from env:NAME, file:PATH or exec:COMMAND, never in the configuration, never in a log. Thread: the one that reads the configuration --- */

    /* While a directive is read: NULL, or what is wrong with the source, beginning with `what`. */
    const char *(*secret_fault)(apr_pool_t *p, const char *what, const char *source);

    /* The secret in p, one line of at most 8 KiB; NULL and *why (in ptemp, with nothing of the secret) if it cannot be had. Blocks (exec: for at most 10 s). */
    const char *(*secret_read)(apr_pool_t *p, apr_pool_t *ptemp, const char *source, const char **why);

    /* What AIGWStore names, as "sqlite"; NULL: there is no AIGWStore. Once the configuration is read. */
    const char *(*store_name)(void);

    /* 1 once this child is to end now, at a stop or because a graceful one takes too long: who waits for something gives up. Any thread. */
    int (*stopping)(void);
} aigw_core_t;

APR_DECLARE_OPTIONAL_FN(const aigw_core_t *, aigw_core, (int version));

#endif
