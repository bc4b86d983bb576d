/* A pool with memory of its own: who uses it shares no lock with another thread's pools. */
#ifndef AIGW_OWN_POOL_H
#define AIGW_OWN_POOL_H

#include <apr_pools.h>

/* It goes with parent (NULL: with the process), and may have sub-pools of several threads. NULL: no memory. Thread: one that may use parent. */
apr_pool_t *aigw_own_pool(apr_pool_t *parent);

#endif
