/* The request context: what every module may know of a request. One for each initial request, made when first asked for
 * (httpd answers broken requests before any hook of ours runs); sub-requests and internal redirects share that of the main request.
 *
 * Pool: r->pool of the initial request. Thread: the one that owns the request_rec.
 */
#ifndef AIGW_REQUEST_H
#define AIGW_REQUEST_H

#include <httpd.h>
#include "aigw_clock.h"
#include "aigw_error.h"

/* Who is asking. Empty (all NULL) until mod_aigw_auth fills it. */
typedef struct aigw_identity_t {
    const char *user;                 /* stable identifier, NULL: anonymous */
    const char *tier;                 /* NULL: the default tier */
    const char *method;               /* "api_key", "jwt", ...; NULL: none */
    const char *key_id;               /* may be logged; NULL: none */
    const apr_array_header_t *scopes; /* const char *; NULL: none known */
    const apr_array_header_t *models; /* const char *, patterns of allowed models; NULL: all */
    apr_time_t expires;               /* microseconds since 1970; 0: never */
    const char *issuer;               /* of a token; NULL: it is none */
    unsigned tier_listed : 1;         /* tier is what AIGWTierFile says of the user, not his credential */
} aigw_identity_t;

typedef struct aigw_request_t {
    const char *id;          /* X-Request-ID, taken from the client or made */
    const char *traceparent; /* header value for upstreams: the client's trace with a new span, or a new trace */
    const char *trace_id;    /* 32 hex digits */
    const char *address;     /* whom httpd takes for the client (mod_remoteip may say), as text: an IPv4 or IPv6 address */
    apr_time_t began;        /* when the request line was read, by aigw_clock_now() */
    apr_time_t first_byte;   /* when the first byte of the answer was handed to httpd, by aigw_clock_now(); 0: not yet */
    apr_interval_time_t auth_time, limit_time, upstream_time; /* for Server-Timing; -1: that phase did not happen */
    aigw_identity_t identity;
    const apr_array_header_t *location_models; /* const char *, patterns of the models that this location gives to anybody; NULL: all */
    const aigw_error_t *error;                 /* what the client was or will be told; NULL: nothing went wrong that we know */
    /* of the last call made for this request, for the access log and later modules */
    const char *model;    /* as asked for, resolved to its <AIGWModel> name; NULL: none */
    const char *upstream; /* "openai" */
    const char *finish_reason;
    const char *mode;                             /* "parked", "blocking" or "prompt" */
    apr_int64_t prompt_tokens, completion_tokens; /* -1: not known */
    unsigned streaming : 1;                       /* the answer is a stream: Server-Timing has no total */
    const apr_array_header_t *tier_models;        /* const char *, patterns of the models that the tier of the identity gives; NULL: all */
    const char *section; /* of who makes a detached call: the path whose <Location> sections hold for it, "/api/v1/tasks"; NULL: none */
} aigw_request_t;

#endif
