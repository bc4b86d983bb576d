/* Bytes that gather: a block of malloc'ed memory that grows, freed with the pool. Not a pool's memory, because a stream writes into it for minutes and a pool
 * gives nothing back.
 *
 * Thread: the owner's. All zero is an empty buffer.
 */
#ifndef AIGW_BUFFER_H
#define AIGW_BUFFER_H

#include <apr_pools.h>

typedef struct aigw_buffer_t {
    char *data; /* not NUL-terminated; NULL while nothing was added */
    apr_size_t len, cap;
} aigw_buffer_t;

/* Makes b empty and has it freed with p; b must live as long as p. */
void aigw_buffer_init(aigw_buffer_t *b, apr_pool_t *p);

/* APR_SUCCESS or APR_ENOMEM, then b is as it was. */
apr_status_t aigw_buffer_add(aigw_buffer_t *b, const void *data, apr_size_t len);
apr_status_t aigw_buffer_add_text(aigw_buffer_t *b, const char *text);

/* Empties b; a block larger than keep bytes is given back. */
void aigw_buffer_clear(aigw_buffer_t *b, apr_size_t keep);

/* Hands the block over: the caller must free() it. NULL if b was empty. */
char *aigw_buffer_take(aigw_buffer_t *b, apr_size_t *len);

#endif
