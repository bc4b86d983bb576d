/* Questions without a request: what a model endpoint would be asked, for who runs it later (mod_aigw_tasks). The endpoints are mod_aigw_stream's, which offers these optional functions.
 */
#ifndef AIGW_JOB_H
#define AIGW_JOB_H

/* A member of a job's chat: how many words the built-in model says. Of a client's own request it means nothing. */
#define AIGW_TASK_STEPS "aigw_steps"

#include <apr_optional.h>
#include "aigw_call.h"
#include "aigw_sink.h"

/* The call is over, once for every call that was started; in a thread that may block, while the call is still there. text: the answer's JSON, malloc'ed and now the callee's, len bytes and a NUL behind them; NULL: it failed,
 * and error says why (in call->pool). A call that was cancelled has failed, too. */
typedef void (*aigw_job_done_fn)(void *baton, aigw_call_t *call, char *text, apr_size_t len, const aigw_error_t *error);

/* Is it a question that this endpoint takes ("/v1/chat/completions", "/v1/chat", "/api/v1/generate", "/api/v2/generate")? NULL: *model is who would be asked; else the error that the endpoint would answer with, in p;
 * its param begins with prefix ("body."). Thread: any. */
APR_DECLARE_OPTIONAL_FN(const aigw_error_t *, aigw_job_check,
                        (server_rec * s, apr_pool_t *p, const char *endpoint, const char *body, apr_size_t len, const char *prefix,
                         const aigw_model_t **model));

/* How far a job's sink has come: pieces of text and of tool calls so far, about as many tokens; and what the model server itself says, 0..1 (0: nothing). Thread: the owner of the call. */
APR_DECLARE_OPTIONAL_FN(void, aigw_job_progress, (const aigw_sink_t *sink, apr_int64_t *pieces, double *progress));

/* The call for it, to be given to aigw_core_t.call_start() with the sink; context and body are copied. "stream" counts for nothing: the answer comes once, though the model server is asked for a stream where it
 * can, so that there is progress. Errors as above. Thread: any that may block. */
APR_DECLARE_OPTIONAL_FN(const aigw_error_t *, aigw_job_make,
                        (server_rec * s, const aigw_request_t *context, apr_pool_t *p, const char *endpoint, const char *body,
                         apr_size_t len, aigw_job_done_fn done, void *baton, aigw_call_t **call, aigw_sink_t **sink));

/* Where in the address an endpoint ends: the part of r->uri behind the path of the <Location> that gave r its handler: "" or "/…". NULL where that is not known. Thread: the owner of r. */
APR_DECLARE_OPTIONAL_FN(const char *, aigw_endpoint_tail, (request_rec * r));

/* 1 if the sections that hold for r give it to one of our handlers; also before the handler is chosen, from translate_name on. Thread: the owner of r. */
APR_DECLARE_OPTIONAL_FN(int, aigw_endpoint_here, (request_rec * r));

#endif
