#include "task_source.h"

#define PIECE (16 * 1024)             /* of an event in one turn: a result may be large, and only what is told is held for a client */
#define LOOK  apr_time_from_msec(500) /* without a descriptor */

/* For browsers: how long to wait before they come again when the connection breaks, or the child that they were connected to ends. */
static const char hint[] = "retry: 1000\n\n";

/* ------------------------------------------------------------------ telling */

static apr_status_t tell_bytes(aigw_call_t *call, const char *data, apr_size_t len)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_RAW};

    ev.data = data;
    ev.len = len;
    return aigw_tasks_core->call_emit(call, &ev);
}

static aigw_pump_e tell_end(aigw_call_t *call)
{
    const aigw_event_t ev = {.kind = AIGW_EVENT_END};

    aigw_tasks_core->call_emit(call, &ev);
    return AIGW_PUMP_DONE;
}

/* One piece of the news. 1: all of it is told now. */
static int tell_piece(aigw_task_source_t *source, aigw_call_t *call)
{
    const apr_size_t left = source->telling->len - source->told, len = left < PIECE ? left : PIECE;

    if (len && tell_bytes(call, source->telling->text + source->told, len) != APR_SUCCESS) {
        return 0;
    }
    source->told += len;
    return source->told == source->telling->len;
}

/* The next news, if there is any that the client has not seen. 1: there will be none any more. */
static int next_news(aigw_task_source_t *source)
{
    int stopping;

    source->telling = aigw_task_watch_take(&source->watch, source->saw ? &source->seen : NULL, &stopping);
    source->told = 0;
    return !source->telling && stopping;
}

/* ------------------------------------------------------------------ the source */

static const aigw_error_t *start(aigw_source_t *base, aigw_call_t *call)
{
    aigw_task_source_t *source = base->baton;

    if (aigw_task_watch_begin(&source->watch, call->pool, source->task, source->what) != APR_SUCCESS) {
        return aigw_task_unavailable(call->pool);
    }
    source->begun = 1;
    base->fd = source->watch.fd;
    base->wake = aigw_clock_now(); /* what is known already */
    return NULL;
}

static aigw_pump_e wait_on(aigw_task_source_t *source, apr_time_t now)
{
    source->source.wake = source->watch.fd >= 0 ? source->until : source->until && source->until < now + LOOK ? source->until : now + LOOK;
    return AIGW_PUMP_WAIT;
}

static aigw_pump_e pump(aigw_source_t *base, aigw_call_t *call, apr_time_t now)
{
    aigw_task_source_t *source = base->baton;
    int over;

    if (source->begun == 1 && source->what != AIGW_WATCH_END) {
        source->begun = 2;
        tell_bytes(call, hint, sizeof hint - 1);
    }
    if (!source->telling && next_news(source)) {
        return tell_end(call);
    }
    if (source->telling) {
        if (!tell_piece(source, call)) {
            return AIGW_PUMP_AGAIN; /* or the client is gone, which the engine knows */
        }
        source->seen = source->telling->mark;
        source->saw = 1;
        over = source->telling->over;
        aigw_task_watch_give(source->telling);
        source->telling = NULL;
        return over ? tell_end(call) : AIGW_PUMP_AGAIN;
    }
    return source->until && now >= source->until ? tell_end(call) : wait_on(source, now);
}

static void release(aigw_source_t *base, aigw_call_t *call, int clean)
{
    aigw_task_source_t *source = base->baton;

    if (source->begun) {
        source->begun = 0;
        if (source->telling) {
            aigw_task_watch_give(source->telling);
            source->telling = NULL;
        }
        aigw_task_watch_end(&source->watch);
    }
    base->wake = 0;
}

void aigw_task_source_init(aigw_task_source_t *source)
{
    static const aigw_source_vt vt = {"task", start, pump, release, NULL};

    source->source.vt = &vt;
    source->source.baton = source;
    source->source.fd = -1;
    source->source.silent = 1;
}
