/* The tasks that somebody watches here: one thread of the child looks how they stand, all in one step, about each half second and at once after something happened to one of them in this child; who watches
 * is woken by a descriptor of his own when there is news. No thread, no query and no copy of the news for each watcher.
 */
#ifndef AIGW_TASK_WATCH_H
#define AIGW_TASK_WATCH_H

#include "tasks.h"
#include "aigw_task_mark.h"

#include <apr_ring.h>

/* What is wanted to be known. */
typedef enum {
    AIGW_WATCH_TASK, /* an event for each change */
    AIGW_WATCH_JOB,  /* the same, with job_id */
    AIGW_WATCH_END   /* no text, only whether it is over */
} aigw_task_watch_e;

/* How a task stood at some moment. Constant, and counted: shared by all who watch it. */
typedef struct aigw_task_news_t {
    int refs; /* the table's */
    aigw_task_mark_t mark;
    int over;       /* nothing comes behind it: the task has ended, or is not kept any more */
    apr_size_t len; /* of the text: the whole server-sent event */
    char text[];
} aigw_task_news_t;

struct aigw_watched_t;

/* Somebody who watches one task. In his own memory. */
typedef struct aigw_task_watch_t {
    APR_RING_ENTRY(aigw_task_watch_t) link;
    struct aigw_watched_t *of;
    int fd; /* readable when there may be news (eventfd); -1: there was no descriptor, ask now and then */
} aigw_task_watch_t;

/* Begins: task is how it stands now, with its result where it is over. APR_SUCCESS, or why not (no memory, no thread; logged). Thread: any that may block; p is for the moment. */
apr_status_t aigw_task_watch_begin(aigw_task_watch_t *watch, apr_pool_t *p, const aigw_task_t *task, aigw_task_watch_e what);

/* The last news, to be given back; NULL: none that came behind *after (NULL: whatever there is). *stopping: 1: this child is to end, and nothing more will come. Never blocks. Any thread. */
aigw_task_news_t *aigw_task_watch_take(aigw_task_watch_t *watch, const aigw_task_mark_t *after, int *stopping);
void aigw_task_watch_give(aigw_task_news_t *news);

/* Ends what began well, once; closes the descriptor. Never blocks. Any thread. */
void aigw_task_watch_end(aigw_task_watch_t *watch);

/* Something happened to this task, and is in the store: look at it now if somebody watches. Any thread. */
void aigw_task_watch_hint(const char *id);

/* The mark of a task as it stands in the store. */
aigw_task_mark_t aigw_task_watch_mark(const aigw_task_t *task);

void aigw_task_watch_child_init(apr_pool_t *pchild, server_rec *main_server);

#endif
