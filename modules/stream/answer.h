/* The answer as one JSON text: a sink that gathers a call's events and writes in the end, or says why not. A dialect gives it the shape.
 *
 * Thread: the one that owns the call; only end() may block. Everything is in call->pool, or freed with it.
 */
#ifndef AIGW_STREAM_ANSWER_H
#define AIGW_STREAM_ANSWER_H

#include <apr_tables.h>
#include <httpd.h>
#include <http_config.h>
#include "aigw_job.h"
#include "aigw_sink.h"
#include "aigw_buffer.h"
#include "aigw_chunks.h"

#define AIGW_CHOICES_MAX 128 /* n of a chat completion */
#define AIGW_TOOLS_MAX   128 /* tool calls in one choice */

typedef struct aigw_answer_tool_t {
    const char *id, *name; /* NULL: the source did not say */
    aigw_buffer_t arguments;
} aigw_answer_tool_t;

typedef struct aigw_answer_choice_t {
    aigw_buffer_t text;
    apr_array_header_t *tools; /* aigw_answer_tool_t *, NULL: none */
    const char *finish_reason; /* NULL: the source did not say */
} aigw_answer_choice_t;

typedef struct aigw_answer_t aigw_answer_t;

/* The dialect's JSON text: malloc'ed, NULL without memory. Called for an answer that is complete and was not raw. */
typedef char *(*aigw_answer_shape_fn)(const aigw_answer_t *answer, aigw_call_t *call);

struct aigw_answer_t {
    aigw_sink_t sink;
    aigw_answer_shape_fn shape;
    void *baton; /* the dialect's */
    int nchoices;
    aigw_answer_choice_t *choices;
    aigw_buffer_t raw;     /* the body that a provider handed through; empty: none */
    aigw_chunks_t *chunks; /* the same of a stream's events; NULL: none came */
    apr_int64_t pieces;    /* of text and of tool calls, so far */
    double progress;       /* 0..1, as the model server said; 0: it did not */
    aigw_job_done_fn done; /* it is a job's: who is told; NULL: it goes to the client */
    void *done_baton;
    unsigned complete : 1; /* END has come */
    unsigned no_memory : 1;
};

/* A sink for a call whose answer has nchoices (1..AIGW_CHOICES_MAX) choices. */
aigw_answer_t *aigw_answer_make(aigw_call_t *call, int nchoices, aigw_answer_shape_fn shape, void *baton);

/* The text of a choice as JSON, a new reference; NULL without memory. */
json_t *aigw_answer_text(const aigw_answer_t *answer, int choice);

/* Takes the reference; malloc'ed, NULL without memory. */
char *aigw_answer_dump(json_t *json);

/* A token count, null where it is not known. */
json_t *aigw_answer_count(apr_int64_t n);

/* prompt + completion, where the model server did not add them up; -1 if not known. */
apr_int64_t aigw_answer_total(const aigw_usage_t *usage);

/* Why this call has no answer; never NULL, also where a source ended without a word. */
const aigw_error_t *aigw_answer_failure(aigw_call_t *call);

/* Writes a 200 with that JSON; text is malloc'ed and taken, NULL is a 500. May block. */
void aigw_answer_send(request_rec *r, char *text, apr_size_t len);

#endif
