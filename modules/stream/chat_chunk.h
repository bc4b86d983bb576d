/* OpenAI chat completion chunks and the completion object, built from events (WIRE.md section 3), for sources that do not speak this format themselves.
 *
 * Thread: the one that owns the call; nothing blocks. Lives in call->pool.
 */
#ifndef AIGW_STREAM_CHAT_CHUNK_H
#define AIGW_STREAM_CHAT_CHUNK_H

#include "answer.h"

typedef struct aigw_chunk_choice_t {
    const char *finish_reason; /* told by the source, not yet by us; NULL: none */
    unsigned begun : 1;        /* the role has been told */
    unsigned tools : 1;        /* it calls tools: what it finishes with, where the source does not say */
    unsigned finished : 1;     /* the finish_reason has been told */
} aigw_chunk_choice_t;

typedef struct aigw_chunk_t {
    const char *id;      /* NULL until it is needed: bytes that are handed through have the upstream's */
    apr_pool_t *pool;    /* the call's */
    apr_int64_t created; /* seconds since 1970 */
    const char *model;
    int usage; /* 1: the client wants the usage chunk, so all others carry usage: null */
    int nchoices;
    aigw_chunk_choice_t *choices;
} aigw_chunk_t;

/* What every chunk of this answer has in common. */
aigw_chunk_t *aigw_chunk_make(aigw_call_t *call, int nchoices, int usage);

/* All below: new references, NULL without memory. */

/* A choice's first chunk: the role. content is "" or, before a tool call, null. */
json_t *aigw_chunk_role(aigw_chunk_t *chunk, int choice, int content);
json_t *aigw_chunk_text(aigw_chunk_t *chunk, int choice, const char *text, apr_size_t len);
json_t *aigw_chunk_tool(aigw_chunk_t *chunk, const aigw_event_t *ev);
json_t *aigw_chunk_finish(aigw_chunk_t *chunk, int choice, const char *finish_reason);
json_t *aigw_chunk_usage(aigw_chunk_t *chunk, const aigw_usage_t *usage);

/* The whole answer, not streamed. */
json_t *aigw_chunk_completion(aigw_chunk_t *chunk, const aigw_answer_t *answer, const aigw_usage_t *usage);

/* 1 if the model server counted anything at all. */
int aigw_chunk_counted(const aigw_usage_t *usage);

#endif
