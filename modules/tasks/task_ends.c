#include "task_runner_state.h"
#include "task_callback.h"
#include "task_watch.h"

/* ------------------------------------------------------------------ writing the end */

#define UNKEPT                                                                                                                             \
    "{\"message\":\"The store does not take the answer of this "                                                                           \
    "task.\",\"type\":\"server_error\",\"param\":null,\"code\":\"internal_error\"}"

/* One that the store refuses takes nothing from the others: it has failed. */
static apr_status_t write_each(apr_pool_t *p, aigw_task_end_t *ends, int n)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i < n && rv != APR_EAGAIN; i++) {
        rv = aigw_task_runner.vt->task_end(aigw_task_runner.store, p, &ends[i], 1);
        if (rv != APR_SUCCESS && rv != APR_EAGAIN) {
            ends[i].state = AIGW_TASK_FAILED;
            ends[i].result = NULL;
            ends[i].error = UNKEPT;
            rv = aigw_task_runner.vt->task_end(aigw_task_runner.store, p, &ends[i], 1);
        }
    }
    return rv == APR_EAGAIN ? rv : APR_SUCCESS;
}

/* Those that have ended are written in one step. Where the store is away they stay for the next time: APR_EAGAIN. */
apr_status_t aigw_task_ends_write(apr_pool_t *p)
{
    struct aigw_task_runs_t ended;
    aigw_task_end_t *ends;
    aigw_task_run_t *run;
    apr_status_t rv;
    int n = 0, tells = 0;

    APR_RING_INIT(&ended, aigw_task_run_t, link);
    apr_thread_mutex_lock(aigw_task_runner.mutex);
    APR_RING_CONCAT(&ended, &aigw_task_runner.ended, aigw_task_run_t, link);
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    for (run = APR_RING_FIRST(&ended); run != APR_RING_SENTINEL(&ended, aigw_task_run_t, link); run = APR_RING_NEXT(run, link)) {
        n++;
    }
    ends = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof *ends);
    n = 0;
    for (run = APR_RING_FIRST(&ended); run != APR_RING_SENTINEL(&ended, aigw_task_run_t, link); run = APR_RING_NEXT(run, link)) {
        const aigw_task_end_t end = {run->lease, run->state, run->result, run->error, run->usage, run->used, run->delay, 0};

        ends[n++] = end;
        tells |= run->tells;
    }
    rv = n ? aigw_task_runner.vt->task_end(aigw_task_runner.store, p, ends, n) : APR_SUCCESS;
    if (rv != APR_SUCCESS && rv != APR_EAGAIN) {
        rv = write_each(p, ends, n);
    }
    if (rv == APR_EAGAIN) {
        apr_thread_mutex_lock(aigw_task_runner.mutex);
        APR_RING_CONCAT(&aigw_task_runner.ended, &ended, aigw_task_run_t, link);
        apr_thread_mutex_unlock(aigw_task_runner.mutex);
        tells = 0;
    }
    if (tells) {
        aigw_task_callback_wake();
    }
    while (!APR_RING_EMPTY(&ended, aigw_task_run_t, link)) {
        run = APR_RING_FIRST(&ended);
        APR_RING_REMOVE(run, link);
        aigw_task_watch_hint(run->lease.id);
        aigw_task_run_free(run);
    }
    apr_pool_clear(p);
    return rv;
}

/* Their calls end when they end: nobody waits for them any more, and what they say then is not written. How many there are. */
int aigw_task_ends_hand_back(apr_pool_t *p)
{
    int n, i;
    aigw_task_beat_t *beats = aigw_task_beats_of_all(p, &n);
    aigw_task_end_t *ends = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof *ends);

    for (i = 0; i < n; i++) {
        ends[i].lease = beats[i].lease;
        ends[i].state = AIGW_TASK_PENDING;
        ends[i].tokens = -1;
    }
    if (n) {
        aigw_task_runner.vt->task_end(aigw_task_runner.store, p, ends, n);
    }
    apr_pool_clear(p);
    return n;
}
