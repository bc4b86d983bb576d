/* The store in Redis, for many machines: one script a decision, one round trip (limit.lua). What happens where Redis does not answer decides limit_store.c.
 *
 * A decision without an answer (APR_TIMEUP) may have been made all the same: what it holds open expires (AIGWLimitLease), a request that it counted stays counted.
 */
#ifndef AIGW_LIMIT_REDIS_H
#define AIGW_LIMIT_REDIS_H

#include "limit_store.h"

extern const aigw_limit_store_vt aigw_limit_redis;

/* check_config, behind the core's: whether there is an AIGWRedis, if it is to be used. 0, or the reason was logged. */
int aigw_limit_redis_check_config(server_rec *main_server);

/* Before the core's: what this leaves to be done at the child's end comes after what the core does then. */
void aigw_limit_redis_child_init(apr_pool_t *pchild, server_rec *main_server);

#endif
