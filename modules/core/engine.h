/* The engine's one state machine: a turn of a call, whoever drives it (the reactor without blocking, a worker thread blocking).
 *
 * Phases: NEW until the source has started (admission, open() and start() may block and run on a worker), STARTED while it is pumped (never blocks, runs where
 * the call is driven), OVER when all is received (waits for a worker, which may have a whole answer to read), ENDED after aigw_engine_end() there. A restart goes from STARTED through a worker back to STARTED.
 *
 * A call and its engine belong to one thread at a time; what `drive` adds for the reactor is said in reactor.h.
 */
#ifndef AIGW_ENGINE_H
#define AIGW_ENGINE_H

#include <apr_atomic.h>
#include "aigw_call.h"
#include "conf.h"
#include "reactor.h"

typedef enum { AIGW_PHASE_NEW, AIGW_PHASE_STARTED, AIGW_PHASE_OVER, AIGW_PHASE_ENDED } aigw_phase_e;

/* What a turn leaves to do. */
typedef enum {
    AIGW_TURN_WAIT,   /* for engine->fd, for the client to take output (blocked), or until deadline */
    AIGW_TURN_AGAIN,  /* more at once, after the others */
    AIGW_TURN_WORKER, /* OVER, or a restart: a thread that may block must take it */
    AIGW_TURN_DETACH  /* the client is gone and the call drains: the connection must be given back, the call goes on */
} aigw_turn_e;

typedef struct aigw_engine_t {
    aigw_call_t *call;
    const aigw_dir_conf_t *conf;
    aigw_phase_e phase;
    int restarts;                    /* how often start() was run again */
    apr_time_t now;                  /* of this turn, or of the start; all times here are aigw_clock_now()'s */
    apr_time_t started;              /* last successful start() */
    apr_time_t heard;                /* last sign of life of the upstream */
    apr_time_t said;                 /* last thing sent to the client */
    apr_time_t fed;                  /* the last turn that brought something */
    apr_time_t rest_until;           /* a fast upstream is not read before; not later than now: at once */
    apr_time_t blocked_since;        /* the client takes nothing since then; 0: it does */
    apr_time_t drain_until;          /* a drained call ends then; 0: no limit */
    apr_time_t deadline;             /* of this wait: the next timer, 0: none */
    volatile apr_uint32_t cancelled; /* set by any thread */
    unsigned nonblocking : 1;        /* driven by the reactor: the client must not be waited for */
    unsigned blocked : 1;            /* waiting for the client to take output */
    unsigned restart : 1;            /* a worker must call start() again */
    unsigned head : 1;               /* the upstream's answer has begun */
    unsigned told : 1;               /* the sink was told something in this turn */
    unsigned deaf : 1;               /* the sink takes no more */
    unsigned unread : 1;             /* the source's conclude() must run before the end */
    unsigned source_started : 1, source_released : 1;
    unsigned draining : 1;
    unsigned drain_counted : 1;
    unsigned no_drain : 1; /* the call has no pool of its own to live on in */
    unsigned asked : 1;    /* call_admit has run, so call_settle must */
    unsigned watching : 1; /* no model is asked: the source is the maker's */
    aigw_drive_t drive;    /* the reactor's */
} aigw_engine_t;

/* Begins: runs call_admit, the provider's open() and the source's start(). May block. 0: the call is OVER already (refused or failed). */
int aigw_engine_begin(aigw_call_t *call);

/* start() again after a turn that asked for it. May block. 0: the call is OVER. */
int aigw_engine_restart(aigw_call_t *call);

/* One turn in PUMP. */
aigw_turn_e aigw_engine_turn(aigw_call_t *call, apr_time_t now);

/* Sources of the core: the upstream gave a sign of life; head: its answer has begun. */
void aigw_engine_heard(aigw_call_t *call, apr_time_t now, int head);

/* Makes the call OVER because of error (in the call's pool), telling the sink. */
void aigw_engine_fail(aigw_call_t *call, const aigw_error_t *error);

/* The client went away; the upstream's policy decides what becomes of the call. */
void aigw_engine_client_gone(aigw_call_t *call, apr_time_t now);

/* What the source has left to do when the call is OVER; aigw_engine_end() does it, and who settles without ending. Harmless twice. The thread that owns the call. */
void aigw_engine_conclude(aigw_call_t *call);

/* Once, when the call is OVER, in a thread that may block: the source's conclude(), the sink's end(), call_settle, the context's numbers. */
void aigw_engine_end(aigw_call_t *call);

#endif
