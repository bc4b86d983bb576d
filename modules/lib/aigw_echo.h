/* The built-in model's words: what it says, not when. It answers with the words of the prompt, over and over until `limit` words are said.
 * A word is a run of bytes other than white space; a token of the built-in model is one word, so its usage counts are exact.
 *
 * Thread: the owner's. Pool: the word list in the pool given.
 */
#ifndef AIGW_ECHO_H
#define AIGW_ECHO_H

#include <apr_pools.h>

typedef struct aigw_echo_t aigw_echo_t;

aigw_echo_t *aigw_echo_make(apr_pool_t *p);

/* Adds text of the conversation. Its words are counted as prompt tokens; where `answer` is 1 (the last user message) they are also what
 * is said back. At most AIGW_ECHO_WORDS_MAX words are kept to be said; all are counted. Of a word longer than AIGW_ECHO_WORD_MAX bytes
 * only as much is said, cut between two characters: an event of it must stay small. */
#define AIGW_ECHO_WORDS_MAX 4096
#define AIGW_ECHO_WORD_MAX  8192
void aigw_echo_prompt(aigw_echo_t *e, const char *text, apr_size_t len, int answer);

apr_int64_t aigw_echo_prompt_tokens(const aigw_echo_t *e);

/* How many words the answer has. words: the model's setting, 0 = as many as the prompt's answerable words; max_tokens: the request's
 * limit, -1 = none. *finish_reason becomes "length" if max_tokens cut it, else "stop". A prompt without answerable words is answered with
 * "...", once or `words` times. */
apr_int64_t aigw_echo_plan(const aigw_echo_t *e, apr_int64_t words, apr_int64_t max_tokens, const char **finish_reason);

/* The i-th word of the answer, from 0, with a leading space but for the first: *len bytes, not NUL-terminated, valid as long as e. */
const char *aigw_echo_word(aigw_echo_t *e, apr_int64_t i, apr_size_t *len);

#endif
