/* The body that makes a task: {"endpoint", "body"}, or the short form {"prompt", "model"?, "steps"?}; both with "priority"?, "ttl"? and "callback_url"?. What a client sends is cut
 * here; whether the endpoint takes its body is said by mod_aigw_stream (aigw_job.h).
 *
 * Thread: any; no state. Everything is in the pool given and does not point into the body.
 */
#ifndef AIGW_TASK_BODY_H
#define AIGW_TASK_BODY_H

#include "aigw_callback_url.h"

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

#define AIGW_TASK_PRIORITY_MAX 100                    /* -100..100 */
#define AIGW_TASK_TTL_MAX      (366 * 24 * 3600)      /* seconds, 1.. */
#define AIGW_TASK_STEPS_MAX    100000                 /* 1.. */
#define AIGW_TASK_SHORT        "/v1/chat/completions" /* the endpoint of the short form */

typedef struct aigw_task_body_t {
    const char *endpoint; /* as the client named it: 1 to 256 characters */
    const char *request;  /* JSON, an object: what the endpoint would be sent; as the client wrote it, len bytes and a NUL */
    apr_size_t len;
    const char
        *prefix; /* what stands before the name of a member of request where a mistake in it is told: "body.", or "" in the short form */
    apr_int64_t steps; /* of the short form, 1..AIGW_TASK_STEPS_MAX; request has them as max_tokens. 0: not said */
    int priority;
    apr_interval_time_t ttl; /* microseconds */
    const char *
        callback_url; /* 1 to AIGW_CALLBACK_URL_MAX characters; whether it may be called is the caller's to ask (aigw_callback_url.h). NULL: none */
} aigw_task_body_t;

typedef struct aigw_task_fault_t {
    const char *code;    /* of WIRE.md section 2 */
    const char *param;   /* NULL: none */
    const char *message; /* a sentence for the client */
} aigw_task_fault_t;

/* ttl: of a task that says nothing of it, microseconds. APR_SUCCESS; or APR_EINVAL, and the first mistake is in *fault. */
apr_status_t aigw_task_body_read(aigw_task_body_t *body, const char *text, apr_size_t len, apr_interval_time_t ttl, apr_pool_t *p,
                                 aigw_task_fault_t *fault);

#endif
