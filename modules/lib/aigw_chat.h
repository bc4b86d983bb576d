/* What a chat completion request says, read from a scanned body without building a tree
 * (OpenAI API reference, "Create chat completion"). Unknown members are left alone: new model parameters must not need a release.
 *
 * Thread: any; no state. Pool: strings in the pool given; spans point into the scan's text.
 */
#ifndef AIGW_CHAT_H
#define AIGW_CHAT_H

#include "aigw_json_scan.h"

typedef struct aigw_chat_t {
    const aigw_json_scan_t *scan;
    const char *model; /* NULL if absent; at most 256 bytes */
    const aigw_json_member_t *model_member;
    aigw_json_span_t messages; /* a non-empty array of objects with a role */
    int nmessages;
    int last_user;                            /* index of the last message whose role is user, -1 if there is none */
    int stream;                               /* 0 or 1 */
    int include_usage;                        /* stream_options.include_usage: 0 or 1 */
    const aigw_json_member_t *stream_options; /* NULL if absent or null */
    apr_int64_t max_tokens;                   /* max_completion_tokens, else max_tokens; -1 if neither */
    apr_int64_t longest;                      /* the larger of the two: model servers differ in which of them holds; -1 if neither */
    double temperature;                       /* NaN if absent */
    int n;                                    /* choices, 1..128, 1 if absent */
} aigw_chat_t;

typedef struct aigw_chat_fault_t {
    const char *param;   /* the member at fault as a client would write it: "messages[2].role"; in the pool; NULL: the text as a whole */
    const char *message; /* for the client, a sentence without a full stop; in the pool; never the client's own bytes */
} aigw_chat_fault_t;

/* APR_SUCCESS, or APR_EINVAL and *fault. Checked:
 * - the root is an object;
 * - model is a string of 1..256 bytes without control characters (absence is left to the caller);
 * - messages is a non-empty array of objects, each with a role of system|developer|user|assistant|tool|function, content, and, if present,
 *   tool_calls an array or null. Content is a string or an array of objects with a string `type` (type "text" has a string `text`; type
 *   "image_url" an object `image_url` with a string `url`); for assistant it may be null or absent;
 * - stream is a boolean; stream_options an object (and only with stream true) whose include_usage is a boolean;
 * - max_tokens and max_completion_tokens are integers >= 1; n is 1..128;
 * - temperature is 0..2, top_p 0..1, presence_penalty and frequency_penalty -2..2;
 * - tools is an array of objects, stop a string or an array of strings, user a string, response_format an object.
 * From stream on all may also be null. Where a nested object has a member twice the last counts, as in the parsers upstream. */
apr_status_t aigw_chat_read(aigw_chat_t *chat, const aigw_json_scan_t *scan, apr_pool_t *p, aigw_chat_fault_t *fault);

/* Gives the text of every message (string contents, and the `text` of text parts) to fn, in order: role is a constant string,
 * last_user is 1 for the last message whose role is user. The text is unescaped, not NUL-terminated, and gone after the call (it is in a
 * scratch pool, or in the scan's text where it has no escapes). */
typedef void (*aigw_chat_text_fn)(void *baton, const char *role, int last_user, const char *text, apr_size_t len);
void aigw_chat_each_text(const aigw_chat_t *chat, apr_pool_t *p, aigw_chat_text_fn fn, void *baton);

#endif
