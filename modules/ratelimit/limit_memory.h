/* The store in shared memory of all children of this httpd, which restarts keep. */
#ifndef AIGW_LIMIT_MEMORY_H
#define AIGW_LIMIT_MEMORY_H

#include "limit_store.h"

extern const aigw_limit_store_vt aigw_limit_memory;

/* post_config. 0, or the reason was logged. */
int aigw_limit_memory_post_config(server_rec *main_server);

/* For mod_status and metrics: all stripes together. */
void aigw_limit_memory_count(apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted);

#endif
