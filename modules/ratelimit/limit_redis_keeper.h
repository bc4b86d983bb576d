/* What a child holds open in Redis, and what it has yet to tell Redis: a thread of the child renews the one and sends the other, in few commands. It begins when there is something to do.
 *
 * Where Redis is away it tries again; what waits for that is bounded, and beyond the oldest is dropped (AIGW0433).
 *
 * Thread: any; nothing here waits for Redis.
 */
#ifndef AIGW_LIMIT_REDIS_KEEPER_H
#define AIGW_LIMIT_REDIS_KEEPER_H

#include "limit_redis_script.h"

void aigw_limit_redis_keeper_child_init(apr_pool_t *pchild, server_rec *main_server, apr_interval_time_t lease);

/* A new name for what is held open, of AIGW_LIMIT_REDIS_ID bytes: no other child on any machine has it. Returns the first of count numbers that are the child's own. */
apr_uint64_t aigw_limit_redis_keeper_name(char id[AIGW_LIMIT_REDIS_ID], int count);

/* Renews it from now on, until it is settled. held: malloc'ed, the keeper's from here on. */
void aigw_limit_redis_keeper_hold(aigw_limit_held_t *held);

/* What is held open by that number, taken out of what is renewed; the caller's then. NULL: nothing. */
aigw_limit_held_t *aigw_limit_redis_keeper_take(apr_uint64_t number);

/* Has it set right (actual says how). held: malloc'ed, the keeper's from here on. */
void aigw_limit_redis_keeper_settle(aigw_limit_held_t *held);

#endif
