/* Limits of calls: tokens, slots, and whatever is counted by model. Asked in call_admit, settled in call_settle, on the call: it may outlive its request, or have none. */
#ifndef AIGW_LIMIT_CALL_H
#define AIGW_LIMIT_CALL_H

#include "limit.h"

void aigw_limit_call_register(apr_pool_t *p);

#endif
