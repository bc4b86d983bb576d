/* A source: where a call's events come from. An HTTP upstream, a timer (the built-in model), later a stored answer or a notification.
 *
 * The engine drives it: start() in a thread that may block, then pump() in whatever thread has the call, which never blocks.
 */
#ifndef AIGW_SOURCE_H
#define AIGW_SOURCE_H

#include "aigw_call.h"

typedef enum {
    AIGW_PUMP_WAIT,    /* nothing more now: call again when fd() is readable, or at wake */
    AIGW_PUMP_AGAIN,   /* there is more at once; the engine lets others have their turn first */
    AIGW_PUMP_RESTART, /* failed before a single byte came back: start() may be tried again (a stale connection, another member) */
    AIGW_PUMP_DONE     /* END or ERROR has been emitted, or conclude() will do it */
} aigw_pump_e;

typedef struct aigw_source_vt {
    const char *name; /* for the log */

    /* Connects, sends, or whatever the source needs to begin. May block for as long as the connect time-out allows. Thread: a worker's.
     * NULL: begun. Else why not, in the call's pool: the call is over. Called again after AIGW_PUMP_RESTART. */
    const aigw_error_t *(*start)(aigw_source_t *source, aigw_call_t *call);

    /* Emits what there is through aigw_core_t.call_emit(). Never blocks. Should return after about 16 KiB, so that others have their turn.
     * If call_emit() returns an error the sink takes no more: return AIGW_PUMP_WAIT, the engine knows. Thread: the call's owner. */
    aigw_pump_e (*pump)(aigw_source_t *source, aigw_call_t *call, apr_time_t now);

    /* Lets go of what it holds: connections, files. `clean` is 1 after DONE with END. Never blocks. Called once for each time that start() was
     * called, in the thread that owns the call, before its pool goes. The fd must be closed or given away here and not before. */
    void (*release)(aigw_source_t *source, aigw_call_t *call, int clean);

    /* What is left to do for END or ERROR when all is received: reading an answer of 16 MiB takes too long for a turn. Emits as pump() does. Runs once,
     * after the pump() that returned DONE and after release(), before call_settle and the sink's end(). Thread: the one that ends the call, which may
     * take its time. NULL: pump() emits everything. */
    void (*conclude)(aigw_source_t *source, aigw_call_t *call);
} aigw_source_vt;

struct aigw_source_t {
    const aigw_source_vt *vt;
    void *baton;         /* the source's own, in the call's pool */
    int fd;              /* to poll for reading while waiting, or -1; may change in start() only */
    apr_time_t wake;     /* call pump() at this time at the latest, by aigw_clock_now(); 0: only fd counts */
    unsigned silent : 1; /* 1: time-outs for the first byte and idleness do not apply (the source keeps its own) */
};

#endif
