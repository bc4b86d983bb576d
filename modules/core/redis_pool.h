/* The connections of a child to Redis, and the breaker before them. Whoever wants to ask takes a lease; it says whether there is a connection that waits (the one used last: the
 * others may fall asleep), or that one may be made. Nothing is connected under the lock.
 *
 * Thread: any.
 */
#ifndef AIGW_CORE_REDIS_POOL_H
#define AIGW_CORE_REDIS_POOL_H

#include "aigw_breaker.h"
#include "redis_connection.h"

typedef struct aigw_redis_pool_t aigw_redis_pool_t;

typedef enum {
    AIGW_REDIS_LEASED, /* go on; give it back */
    AIGW_REDIS_PROBE,  /* do not, but see whether Redis is back; give the lease back with the result */
    AIGW_REDIS_AWAY,   /* the breaker is open; or somebody who had a connection failed while this one waited for it */
    AIGW_REDIS_BUSY,   /* nobody gave a connection back within the command time-out */
    AIGW_REDIS_ENDED   /* the child exits */
} aigw_redis_lease_e;

typedef struct aigw_redis_lease_t {
    apr_uint64_t ticket;
    aigw_redis_connection_t *connection; /* one that waited; NULL: make one */
} aigw_redis_lease_t;

typedef struct aigw_redis_news_t {
    aigw_breaker_event_e event;
    int first;                /* a failure, after it went well, and none was told of just before: worth a line in the log */
    apr_interval_time_t time; /* OPENED: for how long; RECOVERED: after how long */
} aigw_redis_news_t;

/* For the rest of the process. NULL: no memory. */
aigw_redis_pool_t *aigw_redis_pool_make(const aigw_redis_t *redis);

/* Waits for a connection as long as a command may take. */
aigw_redis_lease_e aigw_redis_pool_take(aigw_redis_pool_t *pool, aigw_redis_lease_t *lease);

/* The end of a lease. lease->connection: what can be used again, or NULL. A failure closes all that wait: they are no better. */
aigw_redis_news_t aigw_redis_pool_give(aigw_redis_pool_t *pool, const aigw_redis_lease_t *lease, aigw_breaker_result_e result);

/* Only asks whether a probe is due: AIGW_REDIS_LEASED (nothing is leased), PROBE or AWAY. */
aigw_redis_lease_e aigw_redis_pool_look(aigw_redis_pool_t *pool, aigw_redis_lease_t *lease);

/* Closes all that wait. end: and nothing is leased any more. */
void aigw_redis_pool_drop(aigw_redis_pool_t *pool, int end);

void aigw_redis_pool_addresses(aigw_redis_pool_t *pool, aigw_redis_addresses_t *addresses);
void aigw_redis_pool_set_addresses(aigw_redis_pool_t *pool, const aigw_redis_addresses_t *addresses);

#endif
