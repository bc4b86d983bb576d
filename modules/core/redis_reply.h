/* What hiredis reads off the wire, made into aigw_redis_reply_t as it comes. A server that lies costs a bounded piece of memory. */
#ifndef AIGW_CORE_REDIS_REPLY_H
#define AIGW_CORE_REDIS_REPLY_H

#include <apr_pools.h>
#include <hiredis/hiredis.h>
#include "aigw_redis.h"

/* What one read of a reply may use; the reader's privdata. */
typedef struct aigw_redis_box_t {
    apr_pool_t *p;     /* where the reply goes */
    apr_size_t budget; /* elements that it may still have */
    int too_large;     /* it has more, or is nested deeper than that */
} aigw_redis_box_t;

/* Makes a reader put its replies into a box; the reader holds none yet. */
void aigw_redis_reply_use(redisReader *reader, aigw_redis_box_t *box);

/* Before each reply. */
void aigw_redis_box_empty(aigw_redis_box_t *box, apr_pool_t *p);

#endif
