/* How full the memory is and what is held open, on mod_status's page. Without mod_status: nothing. */
#ifndef AIGW_LIMIT_STATUS_H
#define AIGW_LIMIT_STATUS_H

#include <apr_pools.h>

void aigw_limit_status_register(apr_pool_t *p);

#endif
