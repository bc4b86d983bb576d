/* What an OpenAI-compatible server answers (a chat completion, or one chunk of a stream), read from a scanned text without building a tree: the answer may be 16 MiB of
 * whatever a server likes to send, and time and memory stay a small multiple of its bytes. Wrong types are as good as absent, unknown members are left alone,
 * of two members of one name the last counts.
 *
 * Thread: any; no state. Pool: none but where one is given; spans point into the text, which must outlive this.
 */
#ifndef AIGW_COMPLETION_H
#define AIGW_COMPLETION_H

#include "aigw_json_scan.h"

/* The members of the root object. end is 0 where one is absent. */
typedef struct aigw_completion_t {
    const aigw_json_scan_t *scan;
    aigw_json_span_t choices, usage, error, progress;
} aigw_completion_t;

/* scan: the text, accepted by aigw_json_check() or aigw_json_scan(); it is kept. APR_SUCCESS, or APR_EINVAL: its root is not an object. */
apr_status_t aigw_completion_read(aigw_completion_t *c, const aigw_json_scan_t *scan);

/* 1 if it says that something went wrong: error is an object or a string. */
int aigw_completion_is_error(const aigw_completion_t *c);

/* What a server says of a failure. NUL-terminated, in the pool; NULL: not said, no string, or longer than AIGW_COMPLETION_ERROR_MAX bytes. */
typedef struct aigw_completion_error_t {
    const char *message, *code, *param;
} aigw_completion_error_t;

#define AIGW_COMPLETION_ERROR_MAX 65536

/* Of an answer that is an error. */
void aigw_completion_error(const aigw_completion_t *c, apr_pool_t *p, aigw_completion_error_t *error);

/* Of the body of an answer with an error's status, whose shape is anybody's: {"error":{...}}, {"error":"..."}, {"detail":"..."} (FastAPI), {"message":"..."}.
 * scan: the body, accepted by aigw_json_check(). */
void aigw_completion_failure(const aigw_json_scan_t *scan, apr_pool_t *p, aigw_completion_error_t *error);

/* Tokens as the server counted them; -1: it did not say, or something else than an integer. */
typedef struct aigw_completion_usage_t {
    apr_int64_t prompt_tokens, completion_tokens, total_tokens;
    apr_int64_t cached_tokens;    /* prompt_tokens_details.cached_tokens */
    apr_int64_t reasoning_tokens; /* completion_tokens_details.reasoning_tokens */
} aigw_completion_usage_t;

/* 1 and *usage if there is an object of that name, else 0. */
int aigw_completion_usage(const aigw_completion_t *c, aigw_completion_usage_t *usage);

/* How far the server says that it is, 0..1, in a member "progress" (no part of OpenAI's format); -1: it does not say. */
double aigw_completion_progress(const aigw_completion_t *c);

/* 1 if choices is an array with something in it. */
int aigw_completion_has_choices(const aigw_completion_t *c);

/* finish_reason of the first choice, NUL-terminated in p; NULL if it is not a string, or longer than max bytes. */
const char *aigw_completion_finish(const aigw_completion_t *c, apr_pool_t *p, apr_size_t max);

typedef enum {
    AIGW_COMPLETION_TEXT,  /* content that is not empty */
    AIGW_COMPLETION_TOOL,  /* an element of tool_calls */
    AIGW_COMPLETION_FINISH /* a finish_reason */
} aigw_completion_e;

/* Pointers are valid during the call that is told. */
typedef struct aigw_completion_piece_t {
    aigw_completion_e kind;
    int choice;                      /* its index, or its place; -1: an index that no choice can have */
    const char *data;                /* TEXT, TOOL (the arguments, may be NULL): UTF-8, not NUL-terminated */
    apr_size_t len;                  /* of data */
    int tool_index;                  /* TOOL: as choice */
    const char *tool_id, *tool_name; /* TOOL: NUL-terminated, NULL where they are not said */
    const char *finish_reason;       /* FINISH: NUL-terminated */
} aigw_completion_piece_t;

typedef void (*aigw_completion_fn)(void *baton, const aigw_completion_piece_t *piece);

/* Tells fn what the choices say, choice by choice: the text, the tool calls, the finish_reason. part is "message" in a whole answer, "delta" in a chunk.
 * The text must be one that aigw_json_check() accepted. APR_SUCCESS, or APR_ENOMEM: then some may have been told. */
apr_status_t aigw_completion_each(const aigw_completion_t *c, const char *part, aigw_completion_fn fn, void *baton);

/* What can be seen of a chunk without scanning it, in one look at its bytes: most are only handed through. */
typedef struct aigw_completion_peek_t {
    int closer;         /* 1: it may hold a usage, an error, or no choices: scan it */
    const char *finish; /* in the text: inside of the quotes of a finish_reason, still escaped; NULL: none */
    apr_size_t finish_len;
} aigw_completion_peek_t;

void aigw_completion_peek(const char *text, apr_size_t len, aigw_completion_peek_t *peek);

#endif
