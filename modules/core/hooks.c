#include "hooks.h"
#include "aigw_hooks.h"
#include "engine.h"
#include "error.h"

/* Optional hooks: other modules take part without being linked with us, and without us being loaded. */
APR_IMPLEMENT_OPTIONAL_HOOK_RUN_ALL(aigw, AP, int, call_admit, (aigw_call_t * call, const aigw_error_t **error), (call, error), OK,
                                    DECLINED)
APR_IMPLEMENT_OPTIONAL_HOOK_RUN_ALL(aigw, AP, int, call_settle, (aigw_call_t * call), (call), OK, DECLINED)

const aigw_error_t *aigw_hooks_admit(aigw_call_t *call)
{
    const aigw_error_t *error = NULL;
    int rc;

    call->engine->asked = 1;
    rc = aigw_run_call_admit(call, &error);
    if (rc == OK || rc == DECLINED) {
        call->admitted = 1;
        return NULL;
    }
    return error ? error : aigw_error_make(call->pool, 403, NULL, NULL, "This call is not allowed.");
}

void aigw_hooks_settle(aigw_call_t *call)
{
    if (call->engine->asked) {
        call->engine->asked = 0;
        aigw_run_call_settle(call);
    }
}
