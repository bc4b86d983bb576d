/* Tokens that were logged out, in Redis: what one machine was told, all know. AIGWRevocationStore redis; revocations.c asks it where its own memory knows nothing.
 *
 * A key is AIGWRedisPrefix, "revoked:" and the hex digits of the token's ID; it goes when the token has expired.
 * Thread: any that may block; it waits for Redis as long as AIGWRedisTimeout says.
 */
#ifndef AIGW_AUTH_REVOCATIONS_REDIS_H
#define AIGW_AUTH_REVOCATIONS_REDIS_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_revoked.h"

/* The directive AIGWRevocationStore. */
const char *aigw_revocations_redis_set(cmd_parms *cmd, void *dir, const char *arg);

/* check_config, behind the core's: 0, or the mistake has been logged. */
int aigw_revocations_redis_check(server_rec *main_server);

/* Before there are requests: whether there is a Redis to be asked. */
void aigw_revocations_redis_post_config(server_rec *main_server);

/* 1: what follows may be called. */
int aigw_revocations_redis_holds(void);

/* APR_SUCCESS: Redis knows it now, or AIGWRedisFailure wants to go on without it. Else the reason has been logged. */
apr_status_t aigw_revocations_redis_add(request_rec *r, const unsigned char id[AIGW_REVOKED_ID], apr_time_t expires, apr_time_t now);

/* 1: it was logged out, and *expires is when it can be forgotten; 0: it was not, or AIGWRedisFailure wants to go on without knowing; -1: nobody can tell. */
int aigw_revocations_redis_have(server_rec *s, apr_pool_t *p, const unsigned char id[AIGW_REVOKED_ID], apr_time_t now, apr_time_t *expires);

#endif
