/* Which header fields a page of another origin may send: the answer to Access-Control-Request-Headers of a preflight.
 *
 * A wildcard cannot be answered (it does not hold for Authorization, and not with credentials), so the names that were asked for are said back, those that are known.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_ALLOW_HEADERS_H
#define AIGW_ALLOW_HEADERS_H

#include <apr_pools.h>

#define AIGW_ALLOW_HEADERS_MAX 64 /* names in an answer; the rest is as if it had not been asked for */

/* Of the names in the list, what the gateway's clients send, each once, in lower case, with ", " between them, in p. NULL: none of them.
 * requested: the field, or NULL. */
const char *aigw_allow_headers(apr_pool_t *p, const char *requested);

#endif
