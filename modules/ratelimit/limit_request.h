/* Limits of requests: by address before anybody is asked who he is, by identity and tier afterwards. */
#ifndef AIGW_LIMIT_REQUEST_H
#define AIGW_LIMIT_REQUEST_H

#include "limit_store.h"

void aigw_limit_request_register(apr_pool_t *p);

#endif
