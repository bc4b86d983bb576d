/* The call: one question to one model, whoever asks (a request, a WebSocket message, a task) and however the answer goes out.
 *
 * A call has a source (where events come from, made by a provider), a sink (where they go, made by a dialect) and, where there is a client connection,
 * a park (the core's). One thread at a time owns a call: the worker that made it, then the reactor, then a worker again. Nobody else may touch it, its pool,
 * or what hangs on it, with the one exception of aigw_core_t.call_cancel().
 */
#ifndef AIGW_CALL_H
#define AIGW_CALL_H

#include <httpd.h>
#include <http_config.h>
#include <jansson.h>
#include "aigw_clock.h"
#include "aigw_error.h"
#include "aigw_model.h"
#include "aigw_request.h"

typedef struct aigw_call_t aigw_call_t;
typedef struct aigw_source_t aigw_source_t; /* aigw_source.h */
typedef struct aigw_sink_t aigw_sink_t;     /* aigw_sink.h */

/* Tokens as the model server counted them; -1: it did not say. */
typedef struct aigw_usage_t {
    apr_int64_t prompt_tokens, completion_tokens, total_tokens;
    apr_int64_t cached_tokens;    /* part of prompt_tokens */
    apr_int64_t reasoning_tokens; /* part of completion_tokens */
} aigw_usage_t;

typedef enum {
    AIGW_EVENT_START,    /* the model server has accepted; at most once, before all others but ERROR */
    AIGW_EVENT_TEXT,     /* a piece of the answer's text */
    AIGW_EVENT_TOOL,     /* a piece of a tool call */
    AIGW_EVENT_RAW,      /* bytes in the wire format that call->raw names: whole server-sent events, or the whole JSON body */
    AIGW_EVENT_USAGE,    /* token counts; at most once */
    AIGW_EVENT_FINISH,   /* one choice is complete */
    AIGW_EVENT_PROGRESS, /* how far the model server says that it is; only where call->piecewise is 1 */
    AIGW_EVENT_END,      /* the answer is complete; the last event of a call that went well */
    AIGW_EVENT_ERROR     /* the last event of a call that did not */
} aigw_event_e;

/* What a source tells a sink. All pointers are valid during the call of the sink's event() only. */
typedef struct aigw_event_t {
    aigw_event_e kind;
    int choice;       /* TEXT, TOOL, FINISH: which of n answers, from 0 */
    const char *data; /* TEXT (UTF-8, whole characters), RAW, TOOL (a piece of the arguments, may be NULL); not NUL-terminated */
    apr_size_t len;
    int tool_index;                  /* TOOL: which call of the answer, from 0 */
    const char *tool_id, *tool_name; /* TOOL: set in its first piece, else NULL */
    double progress;                 /* PROGRESS: 0..1 */
    const char *finish_reason;       /* FINISH: "stop", "length", "tool_calls", "content_filter" */
    const aigw_usage_t *usage;       /* USAGE */
    const aigw_error_t *error;       /* ERROR */
} aigw_event_t;

/* Bytes of a finish_reason that are kept. */
#define AIGW_FINISH_MAX 64

/* Wire formats that a provider may hand through unread. */
typedef enum {
    AIGW_RAW_NONE,       /* this sink wants TEXT, TOOL, FINISH */
    AIGW_RAW_OPENAI_CHAT /* this sink takes OpenAI chat completion chunks (stream) or body (no stream) as they are; it takes TEXT and so on too */
} aigw_raw_e;

/* The request's own JSON body; only where the dialect is the wire format that providers speak. */
typedef struct aigw_body_t {
    const char *data; /* not NUL-terminated; the dialect's; an HTTP source frees it when the answer begins */
    apr_size_t len;
    const struct aigw_chat_t *chat; /* what it says (modules/lib/aigw_chat.h); offsets into data */
} aigw_body_t;

struct aigw_call_t {
    apr_pool_t *pool;          /* lives as long as the call; may be r->pool */
    server_rec *server;        /* whose configuration holds */
    ap_conf_vector_t *per_dir; /* the location's configuration; never NULL */
    request_rec *client;       /* the client's request; NULL: nobody is connected (a task, or the client has gone and the call drains) */
    aigw_request_t *context;   /* of the client's request, or the maker's own; never NULL. Copied if the call may outlive the request */

    /* the question: set by the maker before call_run() or call_start(), constant after it */
    const aigw_model_t *model;
    aigw_body_t *body;      /* the client's own JSON, or NULL: then messages */
    json_t *messages;       /* OpenAI messages; a reference owned by the call; NULL where body is set */
    apr_int64_t max_tokens; /* -1: not said */
    double temperature;     /* NaN: not said */
    int stream;             /* 1: events as they come; 0: the sink answers once, in the end */
    int want_usage;         /* 1: the client asked for the usage chunk of a raw stream */
    int piecewise; /* 1, with stream 0: the model server is asked for a stream where it can, for the sink counts the pieces; RAW events may be either, a stream's or the whole body */
    aigw_raw_e raw; /* what the sink takes unread */

    /* the answer so far: set by the core */
    aigw_usage_t usage;                   /* all -1 until known */
    const aigw_error_t *error;            /* why it failed, NULL: it did not (yet) */
    const char *finish_reason;            /* of choice 0; NULL: none yet. Constant string */
    apr_time_t created;                   /* when it was made, microseconds since 1970 */
    apr_time_t began, first_event, ended; /* by aigw_clock_now(): microseconds of the monotonic clock; 0: not yet */
    apr_off_t bytes_out;                  /* bytes of TEXT, TOOL and RAW events */
    apr_int64_t pieces;                   /* how many of them there were */
    apr_size_t smallest_raw;              /* bytes of the smallest RAW event: about what stands around each piece of text; 0: none */
    unsigned client_gone : 1;             /* the client left before the answer was complete */
    unsigned admitted : 1;                /* call_admit said yes */

    ap_conf_vector_t *config; /* for modules that take part: ap_get_module_config(call->config, &x_module), as of r->request_config */

    aigw_source_t *source;        /* set by the provider's open() */
    aigw_sink_t *sink;            /* given by the maker */
    struct aigw_engine_t *engine; /* the core's own */
};

#endif
