#include "detached.h"
#include "call.h"
#include "child.h"
#include "engine.h"
#include "error.h"
#include "reactor.h"

#include <apr_thread_proc.h>

static void into_reactor(aigw_call_t *call)
{
    if (!aigw_reactor_add(&call->engine->drive)) {
        aigw_engine_fail(call, aigw_error_make(call->pool, 503, "shutting_down", NULL, "The gateway is being stopped."));
        aigw_call_finish(call);
    }
}

static void *APR_THREAD_FUNC begin(apr_thread_t *thread, void *baton)
{
    aigw_call_t *call = baton;

    if (aigw_engine_begin(call)) {
        into_reactor(call);
    }
    else {
        aigw_call_finish(call);
    }
    return NULL;
}

static void *APR_THREAD_FUNC go_on(apr_thread_t *thread, void *baton)
{
    aigw_call_t *call = baton;

    if (call->engine->restart && aigw_engine_restart(call)) {
        into_reactor(call);
    }
    else {
        aigw_call_finish(call);
    }
    return NULL;
}

static void hand_back(aigw_drive_t *d)
{
    aigw_detached_finish(d->call);
}

void aigw_detached_finish(aigw_call_t *call)
{
    if (aigw_child_help(go_on, call) != APR_SUCCESS) {
        go_on(NULL, call); /* better a reactor that is late once than a call that never ends */
    }
}

apr_status_t aigw_detached_start(aigw_call_t *call, aigw_sink_t *sink)
{
    apr_status_t rv = APR_EOF;

    call->sink = sink;
    call->context->mode = "parked";
    call->engine->nonblocking = 1;
    call->engine->drive.hand_back = hand_back;
    if (aigw_child_reactors()) {
        aigw_reactor_choose(&call->engine->drive); /* it may be cancelled before the helper thread has come to it */
        rv = aigw_child_help(begin, call);
    }
    if (rv != APR_SUCCESS) {
        json_decref(call->messages);
        apr_pool_destroy(call->pool);
    }
    return rv;
}

void aigw_detached_cancel(aigw_call_t *call)
{
    apr_atomic_set32(&call->engine->cancelled, 1);
    aigw_reactor_nudge(&call->engine->drive);
}
