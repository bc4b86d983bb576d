/* The store in shared memory of all children of this httpd, which restarts keep. */
#ifndef AIGW_LIMIT_MEMORY_H
#define AIGW_LIMIT_MEMORY_H

#include "limit_store.h"
#include "aigw_limit_shm.h"

extern const aigw_limit_store_vt aigw_limit_memory;

/* post_config. 0, or the reason was logged. */
int aigw_limit_memory_post_config(server_rec *main_server);

/* child_init, before anything whose end may settle calls: cleanups run the other way round. */
void aigw_limit_memory_child_init(apr_pool_t *pchild);

/* For mod_status and metrics; what the dead have held is given back first. 0: there is nothing to see. Any thread of a child. */
int aigw_limit_memory_sums(aigw_limit_shm_sums_t *sums);

#endif
