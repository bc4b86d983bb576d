#include "task_runner.h"
#include "task_callback.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_log.h>
#include <http_main.h>
#include <apr_atomic.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_uuid.h>

APLOG_USE_MODULE(aigw_tasks);

#define TICK        apr_time_from_sec(1) /* when somebody else's tasks are looked for */
#define SWEEP_EVERY apr_time_from_sec(10)
#define CLAIM       32 /* at a time */
#define LOST                                                                                                                               \
    "{\"message\":\"The gateway was lost while it ran this task, each time that it was "                                                   \
    "tried.\",\"type\":\"server_error\",\"param\":null,\"code\":\"internal_error\"}"

APR_RING_HEAD(runs_t, aigw_task_run_t);

static struct {
    apr_pool_t *pool;
    server_rec *server;
    const aigw_store_vt *vt;
    aigw_store_t *store;
    const char *holder;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex; /* of what follows */
    apr_thread_cond_t *news;
    struct runs_t running, ended;
    int nrunning, woken, stopping;
} runner;

/* ------------------------------------------------------------------ beginning and end of a run */

/* The mutex is held. */
static void over(aigw_task_run_t *run, aigw_task_state_e state)
{
    run->call = NULL;
    run->state = state;
    if (state != AIGW_TASK_FAILED) { /* what went wrong with a run that is taken back is nobody's business */
        free(run->error);
        run->error = NULL;
    }
    APR_RING_REMOVE(run, link);
    APR_RING_INSERT_TAIL(&runner.ended, run, aigw_task_run_t, link);
    runner.nrunning--;
    runner.woken = 1;
    apr_thread_cond_signal(runner.news);
}

void aigw_task_runner_ended(aigw_task_run_t *run)
{
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(runner.mutex);
    over(run, !run->failed      ? AIGW_TASK_COMPLETED
              : run->cancelled  ? AIGW_TASK_CANCELLED
              : runner.stopping ? AIGW_TASK_PENDING
                                : AIGW_TASK_FAILED);
    apr_thread_mutex_unlock(runner.mutex);
    aigw_signals_release(&before);
}

static void begin(apr_pool_t *p, const aigw_task_t *task, const aigw_task_lease_t *lease)
{
    aigw_task_run_t *run = aigw_task_run_make(lease, runner.holder);
    int ready;

    if (!run) {
        return; /* its lease runs out, and another has more memory */
    }
    ready = aigw_task_run_prepare(run, p, runner.server, task);
    apr_thread_mutex_lock(runner.mutex);
    APR_RING_INSERT_TAIL(&runner.running, run, aigw_task_run_t, link);
    runner.nrunning++;
    if (!ready) {
        over(run, AIGW_TASK_FAILED);
    }
    apr_thread_mutex_unlock(runner.mutex);
    if (ready && aigw_task_run_start(run) != APR_SUCCESS) { /* the child is stopping */
        apr_thread_mutex_lock(runner.mutex);
        over(run, AIGW_TASK_PENDING);
        apr_thread_mutex_unlock(runner.mutex);
    }
}

static void claim(apr_pool_t *p)
{
    const aigw_task_t *tasks[CLAIM];
    aigw_task_lease_t leases[CLAIM];
    int i, n, room;

    do {
        apr_thread_mutex_lock(runner.mutex);
        room = runner.stopping ? 0 : aigw_tasks_conf()->workers - runner.nrunning;
        apr_thread_mutex_unlock(runner.mutex);
        room = room > CLAIM ? CLAIM : room;
        n = 0;
        if (room <= 0 ||
            runner.vt->task_claim(runner.store, p, runner.holder, room, aigw_tasks_conf()->lease, tasks, leases, &n) != APR_SUCCESS) {
            return;
        }
        for (i = 0; i < n; i++) {
            begin(p, tasks[i], &leases[i]);
        }
        apr_pool_clear(p);
    } while (n == CLAIM);
}

/* ------------------------------------------------------------------ signs of life */

/* What the store said of each that still runs here; one that ended meanwhile is in the other ring. */
static void heed(const aigw_task_beat_t *beats, int n)
{
    aigw_task_run_t *run;
    int i;

    apr_thread_mutex_lock(runner.mutex);
    APR_RING_FOREACH(run, &runner.running, aigw_task_run_t, link)
    {
        for (i = 0; i < n && (beats[i].lease.number != run->lease.number || strcmp(beats[i].lease.id, run->lease.id)); i++) {
        }
        if (i < n && (beats[i].lost || beats[i].cancelling) && !run->cancelled) {
            run->cancelled = 1;
            aigw_tasks_core->call_cancel(run->call);
        }
    }
    apr_thread_mutex_unlock(runner.mutex);
}

static void beat(apr_pool_t *p)
{
    aigw_task_beat_t *beats;
    aigw_task_run_t *run;
    int n = 0;

    apr_thread_mutex_lock(runner.mutex);
    beats = apr_pcalloc(p, (apr_size_t)(runner.nrunning + 1) * sizeof *beats);
    APR_RING_FOREACH(run, &runner.running, aigw_task_run_t, link)
    {
        beats[n].lease = run->lease;
        beats[n].lease.id = apr_pstrdup(p, run->lease.id);
        beats[n].progress = aigw_task_run_progress(run);
        beats[n++].tokens = apr_atomic_read32(&run->tokens);
    }
    apr_thread_mutex_unlock(runner.mutex);
    if (n && runner.vt->task_beat(runner.store, p, beats, n, aigw_tasks_conf()->lease) == APR_SUCCESS) {
        heed(beats, n);
    }
    apr_pool_clear(p);
}

/* ------------------------------------------------------------------ writing the end */

/* All that have ended, in one step; where the store is away they stay for the next time. */
static void write_ends(apr_pool_t *p)
{
    struct runs_t ended;
    aigw_task_end_t *ends;
    aigw_task_run_t *run;
    int n = 0, tells = 0;

    APR_RING_INIT(&ended, aigw_task_run_t, link);
    apr_thread_mutex_lock(runner.mutex);
    APR_RING_CONCAT(&ended, &runner.ended, aigw_task_run_t, link);
    apr_thread_mutex_unlock(runner.mutex);
    APR_RING_FOREACH(run, &ended, aigw_task_run_t, link)
    {
        n++;
    }
    ends = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof *ends);
    n = 0;
    APR_RING_FOREACH(run, &ended, aigw_task_run_t, link)
    {
        const aigw_task_end_t end = {run->lease, run->state, run->result, run->error, run->usage, run->used, 0, 0};

        ends[n++] = end;
        tells |= run->tells;
    }
    if (n && runner.vt->task_end(runner.store, p, ends, n) == APR_EAGAIN) {
        apr_thread_mutex_lock(runner.mutex);
        APR_RING_CONCAT(&runner.ended, &ended, aigw_task_run_t, link);
        apr_thread_mutex_unlock(runner.mutex);
        tells = 0;
    }
    if (tells) {
        aigw_task_callback_wake();
    }
    while (!APR_RING_EMPTY(&ended, aigw_task_run_t, link)) {
        run = APR_RING_FIRST(&ended);
        APR_RING_REMOVE(run, link);
        aigw_task_run_free(run);
    }
    apr_pool_clear(p);
}

/* ------------------------------------------------------------------ the thread */

static void sweep(apr_pool_t *p)
{
    int more = 1;

    while (more && runner.vt->task_sweep(runner.store, p, aigw_tasks_conf()->attempts, LOST, &more) == APR_SUCCESS) {
        apr_pool_clear(p);
    }
    apr_pool_clear(p);
}

/* Until there is news, or it is time to look. */
static void wait_a_while(void)
{
    apr_thread_mutex_lock(runner.mutex);
    if (!runner.woken) {
        apr_thread_cond_timedwait(runner.news, runner.mutex, TICK);
    }
    runner.woken = 0;
    apr_thread_mutex_unlock(runner.mutex);
}

/* What runs has until the drain is over; then it is cancelled, and handed back. 1: there is still something. */
static int draining(apr_time_t until)
{
    const int late = aigw_clock_now() >= until;
    aigw_task_run_t *run;
    int left;

    apr_thread_mutex_lock(runner.mutex);
    if (late) {
        APR_RING_FOREACH(run, &runner.running, aigw_task_run_t, link)
        {
            aigw_tasks_core->call_cancel(run->call);
        }
    }
    left = runner.nrunning;
    apr_thread_mutex_unlock(runner.mutex);
    return left;
}

static int is_stopping(void)
{
    int stopping;

    apr_thread_mutex_lock(runner.mutex);
    stopping = runner.stopping;
    apr_thread_mutex_unlock(runner.mutex);
    return stopping;
}

static void *APR_THREAD_FUNC runner_main(apr_thread_t *thread, void *data)
{
    apr_time_t beaten = 0, swept = 0, until;
    apr_pool_t *p;

    apr_pool_create(&p, runner.pool);
    while (!is_stopping()) {
        const apr_time_t now = aigw_clock_now();

        write_ends(p);
        if (now - beaten >= aigw_tasks_conf()->lease / 3) {
            beaten = now;
            beat(p);
        }
        if (now - swept >= SWEEP_EVERY) {
            swept = now;
            sweep(p);
        }
        claim(p);
        wait_a_while();
    }
    until = aigw_clock_now() + aigw_tasks_conf()->drain;
    while (draining(until)) {
        write_ends(p);
        beat(p);
        wait_a_while();
    }
    write_ends(p);
    return NULL;
}

void aigw_task_runner_wake(void)
{
    sigset_t before;

    if (runner.thread) {
        aigw_signals_hold(&before);
        apr_thread_mutex_lock(runner.mutex);
        runner.woken = 1;
        apr_thread_cond_signal(runner.news);
        apr_thread_mutex_unlock(runner.mutex);
        aigw_signals_release(&before);
    }
}

/* Before the engine ends, and before the store closes. */
static apr_status_t stop(void *data)
{
    apr_status_t rv;

    apr_thread_mutex_lock(runner.mutex);
    runner.stopping = runner.woken = 1;
    apr_thread_cond_signal(runner.news);
    apr_thread_mutex_unlock(runner.mutex);
    apr_thread_join(&rv, runner.thread);
    return APR_SUCCESS;
}

void aigw_task_runner_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    char uuid[APR_UUID_FORMATTED_LENGTH + 1];
    apr_uuid_t made;
    sigset_t before;
    apr_status_t rv = APR_ENOMEM;

    runner.vt = aigw_tasks_core->store(&runner.store);
    if (!runner.vt || !aigw_tasks_conf()->workers) {
        return;
    }
    runner.server = main_server;
    runner.pool = aigw_own_pool(pchild);
    if (runner.pool && (rv = apr_thread_mutex_create(&runner.mutex, APR_THREAD_MUTEX_DEFAULT, runner.pool)) == APR_SUCCESS &&
        (rv = apr_thread_cond_create(&runner.news, runner.pool)) == APR_SUCCESS) {
        APR_RING_INIT(&runner.running, aigw_task_run_t, link);
        APR_RING_INIT(&runner.ended, aigw_task_run_t, link);
        apr_uuid_get(&made);
        apr_uuid_format(uuid, &made);
        runner.holder = apr_pstrdup(runner.pool, uuid);
        aigw_signals_hold(&before);
        rv = ap_thread_create(&runner.thread, NULL, runner_main, NULL, runner.pool);
        aigw_signals_release(&before);
    }
    if (rv != APR_SUCCESS) {
        runner.thread = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server, "AIGW0602: no thread to run tasks in this child: others run them");
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, stop);
}
