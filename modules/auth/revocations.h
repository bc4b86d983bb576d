/* Tokens that were logged out: in shared memory of all children, which a graceful restart keeps, and for all machines in Redis (revocations_redis.h). No entry goes before its token
 * expires by itself.
 *
 * Thread: any that may block, once there are children.
 */
#ifndef AIGW_AUTH_REVOCATIONS_H
#define AIGW_AUTH_REVOCATIONS_H

#include <httpd.h>

/* post_config: makes the segment, or takes up the one that is there, also when it has to grow. 0, or the reason has been logged. */
int aigw_revocations_post_config(server_rec *s, apr_pool_t *pconf);

void aigw_revocations_child_init(server_rec *s, apr_pool_t *pchild);

/* APR_SUCCESS, also where it is there already; APR_ENOSPC: full of tokens that have not expired; another error: the lock, or Redis. The reason has been logged.
 * expires: microseconds since 1970, clocks' skew included. */
apr_status_t aigw_revocations_add(request_rec *r, const char *issuer, const char *jti, apr_time_t expires, apr_time_t now);

typedef enum { AIGW_REVOCATION_NONE, AIGW_REVOCATION_FOUND, AIGW_REVOCATION_UNKNOWN } aigw_revocation_e;

/* Was the token revoked? jti NULL: no. UNKNOWN: Redis is away, and AIGWRedisFailure closed holds; it has been logged. */
aigw_revocation_e aigw_revocations_find(server_rec *s, apr_pool_t *p, const char *issuer, const char *jti, apr_time_t now);

#endif
