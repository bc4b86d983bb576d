/* Hooks of the core. Another module takes part with APR_OPTIONAL_HOOK(aigw, call_admit, fn, NULL, NULL, APR_HOOK_MIDDLE).
 */
#ifndef AIGW_HOOKS_H
#define AIGW_HOOKS_H

#include <apr_optional_hooks.h>
#include <ap_config.h>
#include "aigw_call.h"

/* May this call be made? Run once for every call before anything is spent on it, in a thread that may block for a moment (Redis).
 * OK or DECLINED: as far as this module is concerned. Anything else refuses: *error (in the call's pool) says why. A refusal stops the run, and
 * call_settle then runs with call->admitted 0, so that those who said yes give back what they took. */
APR_DECLARE_EXTERNAL_HOOK(aigw, AP, int, call_admit, (aigw_call_t * call, const aigw_error_t **error))

/* The call is over, however it ended: exactly once for every call for which call_admit ran. call->usage, error, client_gone, began and ended are final.
 * Never blocks: it may run while a child is being stopped. Work that may block goes to aigw_core_t.defer(). */
APR_DECLARE_EXTERNAL_HOOK(aigw, AP, int, call_settle, (aigw_call_t * call))

#endif
