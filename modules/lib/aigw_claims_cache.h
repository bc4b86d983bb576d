/* Claims of tokens whose signature was good, under the SHA-256 of the whole token: what was verified once is not verified again for a while. Bounded: of each eight places that a
 * digest can have, the one that was used longest ago goes.
 *
 * In one child. Thread: any; locked inside.
 */
#ifndef AIGW_CLAIMS_CACHE_H
#define AIGW_CLAIMS_CACHE_H

#include <apr_pools.h>
#include <apr_time.h>
#include <jansson.h>

typedef struct aigw_claims_cache_t aigw_claims_cache_t;

/* For about this many tokens (rounded up to eights), from p, and gone with it. NULL: out of memory or mutexes. */
aigw_claims_cache_t *aigw_claims_cache_make(apr_pool_t *p, int entries);

/* The claims of that token, with a reference of the caller's (json_decref), and what was stored beside them; NULL: not there, or its time is over. Claims are shared: they are read
 * and never changed. digest: 32 bytes. now: microseconds. */
json_t *aigw_claims_cache_find(aigw_claims_cache_t *cache, const unsigned char *digest, apr_time_t now, const void **beside);

/* Keeps the claims (taking a reference of its own) and the pointer until then; nothing where that is over already. */
void aigw_claims_cache_add(aigw_claims_cache_t *cache, const unsigned char *digest, apr_time_t now, apr_time_t until, json_t *claims,
                           const void *beside);

#endif
