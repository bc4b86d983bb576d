/* The chunks of a streamed chat completion put together to the one answer that the model server would have given without a stream: for who wants to see the pieces come, and in the end the whole with
 * everything that the server said (reasoning, logprobs, members that nobody knows yet).
 *
 * A piece of text in a delta is added to what came before it; role, type, id and name are said once. Lists are put together by the index of their elements, or by order. Of other members the last counts.
 *
 * Thread: the owner's. Pool: all of it goes with the pool given.
 */
#ifndef AIGW_CHUNKS_H
#define AIGW_CHUNKS_H

#include <apr_pools.h>

typedef struct aigw_chunks_t aigw_chunks_t;

aigw_chunks_t *aigw_chunks_make(apr_pool_t *p);

/* One chunk's JSON. *pieces: how many of its choices brought text, reasoning or a piece of a tool call. APR_SUCCESS, APR_EINVAL (no object, or choices that nobody can have: it
 * counts for nothing), or APR_ENOMEM. */
#define AIGW_CHUNKS_CHOICES 128
apr_status_t aigw_chunks_add(aigw_chunks_t *chunks, const char *json, apr_size_t len, int *pieces);

/* The answer, "object":"chat.completion". malloc'ed, *len bytes; NULL: there was no chunk, or no memory. Once. */
char *aigw_chunks_take(aigw_chunks_t *chunks, apr_size_t *len);

#endif
