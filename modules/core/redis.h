/* The core's client of Redis (aigw_redis.h): pooled connections, time-outs, a circuit breaker. */
#ifndef AIGW_CORE_REDIS_H
#define AIGW_CORE_REDIS_H

#include <httpd.h>
#include "aigw_redis.h"

extern const aigw_redis_vt aigw_redis_functions;

/* check_config: gets the password and what TLS needs, and makes it known to aigw_redis_get(). APR_SUCCESS, or APR_EGENERAL after a numbered line. */
apr_status_t aigw_redis_check(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server);

/* post_config: looks up its name, which may block. */
void aigw_redis_post_config(server_rec *main_server);

/* child_init, behind aigw_child_init(). Connects once: who runs the server learns of a Redis that is away when it starts, not from users. */
void aigw_redis_child_init(apr_pool_t *pchild, server_rec *main_server);

/* See aigw_core_t. */
aigw_redis_t *aigw_redis_get(void);

/* The same Redis, for who needs other time-outs than everybody: with connections and a breaker of its own, so that what takes longer there holds up nobody here. */
typedef struct aigw_redis_apart_t {
    apr_interval_time_t command_timeout; /* microseconds */
    int connections;                     /* of a child, at most */
    const char *connections_directive;   /* which says so */
    apr_size_t reply_bytes;              /* what a reply may have at most */
    const char *meanwhile;               /* "what needs it is refused": what holds while it is away */
} aigw_redis_apart_t;

/* In p. NULL: there is no AIGWRedis. To ask it in a child, open it there. */
aigw_redis_t *aigw_redis_apart(apr_pool_t *p, const aigw_redis_apart_t *options);

/* child_init, behind aigw_redis_child_init(), once; it is in pchild, and not in a pool below. 0: no memory, which was logged. */
int aigw_redis_apart_open(aigw_redis_t *apart);

#endif
