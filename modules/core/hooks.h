/* Running the core's hooks (aigw_hooks.h). */
#ifndef AIGW_CORE_HOOKS_H
#define AIGW_CORE_HOOKS_H

#include "aigw_call.h"

/* call_admit: NULL: go ahead; else the refusal. */
const aigw_error_t *aigw_hooks_admit(aigw_call_t *call);

/* call_settle: once for every call for which aigw_hooks_admit() ran. */
void aigw_hooks_settle(aigw_call_t *call);

#endif
