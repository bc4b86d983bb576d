/* While Redis is away: a thread of the child that sees whether it is back, so that nobody who asks after a quiet night is the first to find out. It sleeps as long as all is well, and is made when it is first
 * needed.
 */
#ifndef AIGW_CORE_REDIS_WATCH_H
#define AIGW_CORE_REDIS_WATCH_H

#include <httpd.h>

/* child_init. look(): tries, where it is time to; 1: it is away still. It runs in the thread. */
void aigw_redis_watch_init(apr_pool_t *pchild, server_rec *main_server, int (*look)(void));

/* It is away now. Thread: any; signals are held. */
void aigw_redis_watch(void);

#endif
