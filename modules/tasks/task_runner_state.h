/* What the files of the runner share: the runs of this child, and the thread's own. (task_runner.c: the thread; task_beats.c: signs of life; task_ends.c: how they ended.)
 */
#ifndef AIGW_TASK_RUNNER_STATE_H
#define AIGW_TASK_RUNNER_STATE_H

#include "task_run.h"
#include "aigw_spread.h"

#include <http_main.h>
#include <scoreboard.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

#include <signal.h>

#define AIGW_TASK_TICK   apr_time_from_sec(1) /* when somebody else's tasks are looked for */
#define AIGW_TASK_OWNERS 1024                 /* kinds of owners, by a number that several may share */

APR_RING_HEAD(aigw_task_runs_t, aigw_task_run_t);

typedef struct aigw_task_runner_t {
    apr_pool_t *pool;
    server_rec *server;
    const aigw_store_vt *vt;
    aigw_store_t *store;
    const char *holder;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex; /* of what follows */
    apr_thread_cond_t *news;
    struct aigw_task_runs_t running, ended;
    int nrunning, woken, stopping;
    apr_time_t until; /* stopping: when what still runs is handed back */
    aigw_spread_t waiting[AIGW_TASK_OWNERS];
    ap_generation_t generation;       /* constant */
    int prefork;                      /* constant */
    apr_time_t beaten, looked, swept; /* the runner's thread */
    volatile sig_atomic_t hurry;      /* prefork: SIGTERM while it drains */
} aigw_task_runner_t;

extern aigw_task_runner_t aigw_task_runner;

/* All that follow: the runner's thread. p: for work, cleared. */

/* Those who run here say that they live, and how far they have come, when it is time to; those whose owner wants it to end are cancelled. APR_EAGAIN: the store is
 * away, and does not know it. */
apr_status_t aigw_task_beats(apr_pool_t *p);

/* A copy of all that run here, in p, *n of them. */
aigw_task_beat_t *aigw_task_beats_of_all(apr_pool_t *p, int *n);

/* Its call ends soon. The mutex is held. */
void aigw_task_run_cancel(aigw_task_run_t *run);

/* Those that have ended are written in one step. Where the store is away they stay for the next time: APR_EAGAIN. */
apr_status_t aigw_task_ends_write(apr_pool_t *p);

/* What still runs is handed back: nobody waits for the calls any more, and what they say then is not written. How many there are. */
int aigw_task_ends_hand_back(apr_pool_t *p);

#endif
