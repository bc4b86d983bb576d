/* How many tokens a question has, guessed before it is asked. The rule: a token is 4 bytes of ASCII or 3 of other text, rounded up; each message costs 4 more, the
 * question 3; an image, a sound or a file costs a constant, whatever its size; tools and all else that a model reads count as text, as the JSON that they are.
 *
 * What a model really counts is learned: a ratio, which rises fast and falls slowly, so that it is rather too high than too low.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_ESTIMATE_H
#define AIGW_ESTIMATE_H

#include <jansson.h>
#include "aigw_chat.h"

#define AIGW_ESTIMATE_BYTES 4.0  /* of ASCII text that make a token */
#define AIGW_ESTIMATE_IMAGE 1000 /* tokens */

/* What is in a question. All zero: nothing yet. */
typedef struct aigw_estimate_t {
    apr_int64_t ascii, other; /* bytes of text */
    apr_int64_t messages, images;
} aigw_estimate_t;

void aigw_estimate_text(aigw_estimate_t *e, const char *text, apr_size_t len);

/* A whole request: messages, tools, response_format. One walk over its bytes, no memory. */
void aigw_estimate_chat(aigw_estimate_t *e, const aigw_chat_t *chat);

/* An array of OpenAI messages; NULL: none. */
void aigw_estimate_messages(aigw_estimate_t *e, const json_t *messages);

/* bytes: of ASCII text that make a token, of other text three quarters of it; image: tokens. 0 for one of them: the usual. 1..10^12. */
apr_int64_t aigw_estimate_tokens(const aigw_estimate_t *e, double bytes, apr_int64_t image);

/* ------------------------------------------------------------------ the ratio: in 1024ths, 0: not known yet */

#define AIGW_ESTIMATE_ONE 1024
#define AIGW_ESTIMATE_MIN (AIGW_ESTIMATE_ONE / 4)
#define AIGW_ESTIMATE_MAX (AIGW_ESTIMATE_ONE * 4)

#define AIGW_ESTIMATE_SAMPLE 64 /* tokens */

/* The ratio after a question that was estimated at so many tokens (before any ratio) had so many: MIN..MAX. One below SAMPLE changes nothing: what a model server puts around each question, some
 * tens of tokens, would be taken for what text costs, and a "ping" every second would make a long question too large for its limit. */
apr_uint32_t aigw_estimate_learn(apr_uint32_t ratio, apr_int64_t estimated, apr_int64_t actual);

/* 1..10^12 */
apr_int64_t aigw_estimate_scale(apr_int64_t tokens, apr_uint32_t ratio);

#endif
