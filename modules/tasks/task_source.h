/* A source of events that waits for a task: tells its news as server-sent events, or nothing but the end.
 */
#ifndef AIGW_TASK_SOURCE_H
#define AIGW_TASK_SOURCE_H

#include "task_watch.h"

/* One of them, in the request's pool; to be filled in but for what is the source's. Begun when the call is run. */
typedef struct aigw_task_source_t {
    aigw_source_t source;    /* for aigw_core_t.call_make_watching() */
    const aigw_task_t *task; /* as it stood a moment ago, with its result where it is over */
    aigw_task_watch_e what;
    apr_time_t until;      /* it ends then at the latest, by aigw_clock_now(); 0: with the task */
    aigw_task_mark_t seen; /* what was told, */
    int saw;               /* if anything was */
    /* the source's */
    aigw_task_watch_t watch;
    aigw_task_news_t *telling; /* NULL: all is told */
    apr_size_t told;           /* bytes of it */
    int begun;
} aigw_task_source_t;

/* Fills in source->source. */
void aigw_task_source_init(aigw_task_source_t *source);

#endif
