/* HTTP as a transport for providers: one POST to an upstream through mod_proxy's workers and balancers (connection pools, TLS, health checks, failover),
 * and its answer cut into server-sent events or gathered into one body. The provider decodes; the transport does the rest.
 */
#ifndef AIGW_HTTP_H
#define AIGW_HTTP_H

#include <apr_tables.h>
#include <sys/uio.h>
#include "aigw_call.h"

/* One server-sent event of an upstream; bytes valid during the call. */
typedef struct aigw_http_event_t {
    const char *data; /* its data lines joined with LF, not NUL-terminated; never NULL and never empty */
    apr_size_t len;
    const char *raw; /* the event's own bytes, blank line included, if they are exactly one `data: ` line and may be forwarded; else NULL */
    apr_size_t raw_len;
    const char *event; /* its event name, not NUL-terminated, or NULL */
    apr_size_t event_len;
} aigw_http_event_t;

/* How a provider reads answers. All in the thread that owns the call; none may block, and head(), event() and end() must be quick: they run in the reactor. body() and
 * failure() run where the call is ended, in a worker or helper thread, after the connection has been given back. They emit through aigw_core_t.call_emit(). */
typedef struct aigw_http_decoder_t {
    /* The head of a 2xx answer is in: check the content type (never NULL, "" if absent). NULL or why this is no answer. */
    const aigw_error_t *(*head)(void *baton, aigw_call_t *call, int status, const char *content_type);
    /* One event of a text/event-stream body. 1: the answer is complete ([DONE]); 0: go on; -1: *error says what is wrong. */
    int (*event)(void *baton, aigw_call_t *call, const aigw_http_event_t *ev, const aigw_error_t **error);
    /* The whole body of an answer that is no stream. NULL or what is wrong with it. */
    const aigw_error_t *(*body)(void *baton, aigw_call_t *call, const char *data, apr_size_t len);
    /* A stream ended without event() having returned 1. NULL: that is fine. */
    const aigw_error_t *(*end)(void *baton, aigw_call_t *call);
    /* An answer with a status of 300 or more: the whole (bounded) body. Never NULL: what the client is told. */
    const aigw_error_t *(*failure)(void *baton, aigw_call_t *call, int status, const apr_table_t *headers, const char *data,
                                   apr_size_t len);
} aigw_http_decoder_t;

/* What to ask. In the call's pool, constant until the source is released. */
typedef struct aigw_http_request_t {
    const char *path; /* appended to the upstream's URL: "/chat/completions" */
    const apr_table_t *
        headers; /* all fields but Host, Content-Length, Connection, Accept-Encoding, X-Request-ID and traceparent, which the transport adds */
    const struct iovec *body; /* pieces, kept until the answer begins */
    int nbody;
    const aigw_http_decoder_t *decoder;
    void *baton; /* the decoder's */
} aigw_http_request_t;

#endif
