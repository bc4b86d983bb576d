#include "task_runner_state.h"
#include "task_watch.h"

#include <apr_atomic.h>
#include <apr_strings.h>

#define LOOK      1000
#define LOOK_EACH apr_time_from_msec(5) /* of those that run: how often is asked whether one is cancelled, and told how far each has come */

/* What the store said of some of those that run here, in the order of the ring; some of them have ended meanwhile. */
static void heed(const aigw_task_beat_t *beats, int n)
{
    aigw_task_run_t *run;
    int i = 0, k;

    apr_thread_mutex_lock(aigw_task_runner.mutex);
    for (run = APR_RING_FIRST(&aigw_task_runner.running); run != APR_RING_SENTINEL(&aigw_task_runner.running, aigw_task_run_t, link);
         run = APR_RING_NEXT(run, link)) {
        for (k = i; k < n && (beats[k].lease.number != run->lease.number || strcmp(beats[k].lease.id, run->lease.id)); k++) {
        }
        if (k == n) {
            continue;
        }
        if (beats[k].lost || beats[k].cancelling) {
            aigw_task_run_cancel(run);
        }
        i = k + 1;
    }
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
}

/* A copy of all that run here, in p; everything: 0: only of those that have come on since they were last to be written. */
static aigw_task_beat_t *running(apr_pool_t *p, int everything, int to_write, int *n)
{
    aigw_task_beat_t *beats;
    aigw_task_run_t *run;

    *n = 0;
    apr_thread_mutex_lock(aigw_task_runner.mutex);
    beats = apr_pcalloc(p, (apr_size_t)(aigw_task_runner.nrunning + 1) * sizeof *beats);
    for (run = APR_RING_FIRST(&aigw_task_runner.running); run != APR_RING_SENTINEL(&aigw_task_runner.running, aigw_task_run_t, link);
         run = APR_RING_NEXT(run, link)) {
        aigw_task_beat_t *beat = &beats[*n];

        beat->progress = aigw_task_run_progress(run);
        beat->tokens = apr_atomic_read32(&run->tokens);
        if (everything || beat->tokens != run->written_tokens || beat->progress > run->written_progress) {
            run->written_tokens = to_write ? beat->tokens : run->written_tokens;
            run->written_progress = to_write ? beat->progress : run->written_progress;
            beat->lease = run->lease;
            beat->lease.id = apr_pstrdup(p, run->lease.id);
            ++*n;
        }
    }
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    return beats;
}

aigw_task_beat_t *aigw_task_beats_of_all(apr_pool_t *p, int *n)
{
    return running(p, 1, 0, n);
}

static apr_status_t beat(apr_pool_t *p, int everything)
{
    int n;
    aigw_task_beat_t *beats = running(p, everything, 1, &n);
    const apr_status_t rv = n ? aigw_task_runner.vt->task_beat(aigw_task_runner.store, p, beats, n, aigw_tasks_conf()->lease) : APR_SUCCESS;

    if (rv == APR_SUCCESS) {
        heed(beats, n);
        while (n-- > 0) {
            aigw_task_watch_hint(beats[n].lease.id);
        }
    }
    return rv;
}

/* Who wants his task to end need not wait for its next sign of life, which is a write. */
static void look(apr_pool_t *p)
{
    const char *ids[LOOK];
    const aigw_task_t *tasks[LOOK];
    int n, i, from, some;
    aigw_task_beat_t *beats = aigw_task_beats_of_all(p, &n);

    for (from = 0; from < n; from += some) {
        some = n - from < LOOK ? n - from : LOOK;
        for (i = 0; i < some; i++) {
            ids[i] = beats[from + i].lease.id;
        }
        if (aigw_task_runner.vt->task_look(aigw_task_runner.store, p, ids, some, tasks) != APR_SUCCESS) {
            return;
        }
        for (i = 0; i < some; i++) {
            beats[from + i].cancelling = tasks[i] && tasks[i]->state == AIGW_TASK_RUNNING && tasks[i]->cancelling;
        }
    }
    heed(beats, n);
}

static int count_running(void)
{
    int n;

    apr_thread_mutex_lock(aigw_task_runner.mutex);
    n = aigw_task_runner.nrunning;
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    return n;
}

apr_status_t aigw_task_beats(apr_pool_t *p)
{
    const apr_time_t now = aigw_clock_now();
    apr_status_t rv = APR_SUCCESS;

    if (now - aigw_task_runner.beaten >= aigw_tasks_conf()->lease / 3) {
        aigw_task_runner.looked = now;
        if ((rv = beat(p, 1)) != APR_EAGAIN) { /* else it is due still: a lease is no longer than three of them */
            aigw_task_runner.beaten = now;
        }
    }
    else if (now - aigw_task_runner.looked >= AIGW_TASK_TICK + count_running() * LOOK_EACH) {
        aigw_task_runner.looked = now;
        beat(p, 0); /* for who watches them */
        look(p);
    }
    apr_pool_clear(p);
    return rv;
}
