#include "task_runner.h"
#include "task_doubts.h"
#include "task_runner_state.h"
#include "task_watch.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <apr_strings.h>
#include <apr_uuid.h>

APLOG_USE_MODULE(aigw_tasks);

#define SWEEP_EVERY apr_time_from_sec(10)
#define SWEEP_TIME  apr_time_from_msec(100)
#define CLAIM       32 /* at a time */
#define GRACE                                                                                                                              \
    apr_time_from_sec(                                                                                                                     \
        2) /* for calls to end that were told to, and for the store to take it: httpd kills a child that is still there some seconds after SIGTERM */
#define UNSTARTED apr_time_from_sec(1) /* when to try again where the engine could not be started */
#define LOST                                                                                                                               \
    "{\"message\":\"The gateway was lost while it ran this task, each time that it was "                                                   \
    "tried.\",\"type\":\"server_error\",\"param\":null,\"code\":\"internal_error\"}"

aigw_task_runner_t aigw_task_runner;

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
    APR_RING_INSERT_TAIL(&aigw_task_runner.ended, run, aigw_task_run_t, link);
    aigw_task_runner.nrunning--;
    aigw_task_runner.woken = 1;
    apr_thread_cond_signal(aigw_task_runner.news);
}

/* The mutex is held. */
static aigw_task_state_e outcome(aigw_task_run_t *run)
{
    if (!run->failed) {
        return AIGW_TASK_COMPLETED;
    }
    if (run->cancelled) {
        return AIGW_TASK_CANCELLED;
    }
    if (aigw_task_runner.stopping) {
        return AIGW_TASK_PENDING;
    }
    if ((run->later || run->cut) && apr_time_now() - run->created < aigw_tasks_conf()->patience) {
        run->delay = aigw_spread_next(&aigw_task_runner.waiting[run->owner % AIGW_TASK_OWNERS], aigw_clock_now(), run->asked,
                                      ap_random_pick(0, 1000) / 1000.0);
        return AIGW_TASK_PENDING;
    }
    return AIGW_TASK_FAILED;
}

void aigw_task_runner_ended(aigw_task_run_t *run)
{
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(aigw_task_runner.mutex);
    over(run, outcome(run));
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    aigw_signals_release(&before);
}

void aigw_task_run_cancel(aigw_task_run_t *run)
{
    if (!run->cancelled) {
        run->cancelled = 1;
        aigw_tasks_core->call_cancel(run->call);
    }
}

static void begin(apr_pool_t *p, const aigw_task_t *task, const aigw_task_lease_t *lease)
{
    aigw_task_run_t *run = aigw_task_run_make(lease, aigw_task_runner.holder);
    int ready;

    if (!run) {
        return; /* its lease runs out, and another has more memory */
    }
    ready = aigw_task_run_prepare(run, p, aigw_task_runner.server, task);
    apr_thread_mutex_lock(aigw_task_runner.mutex);
    APR_RING_INSERT_TAIL(&aigw_task_runner.running, run, aigw_task_run_t, link);
    aigw_task_runner.nrunning++;
    if (!ready) {
        over(run, outcome(run));
    }
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    if (ready) {
        const apr_status_t rv = aigw_task_run_start(run);

        apr_thread_mutex_lock(aigw_task_runner.mutex);
        run->started = 1;        /* it may have ended, but nobody but this thread frees it */
        if (rv != APR_SUCCESS) { /* the child is stopping, or there are no threads */
            run->delay = aigw_task_runner.stopping ? 0 : UNSTARTED;
            over(run, AIGW_TASK_PENDING);
        }
        apr_thread_mutex_unlock(aigw_task_runner.mutex);
    }
}

static void claim(apr_pool_t *p)
{
    const aigw_task_t *tasks[CLAIM];
    aigw_task_lease_t leases[CLAIM];
    const apr_time_t until = aigw_clock_now() + aigw_tasks_conf()->lease / 6; /* then the signs of life come first again */
    int i, n, room;

    do {
        apr_thread_mutex_lock(aigw_task_runner.mutex);
        room = aigw_task_runner.stopping ? 0 : aigw_tasks_conf()->workers - aigw_task_runner.nrunning;
        apr_thread_mutex_unlock(aigw_task_runner.mutex);
        room = room > CLAIM ? CLAIM : room;
        n = 0;
        if (room <= 0) {
            return;
        }
        if (aigw_task_runner.vt->task_claim(aigw_task_runner.store, p, aigw_task_runner.holder, room, aigw_tasks_conf()->lease, tasks,
                                            leases, &n) != APR_SUCCESS) {
            aigw_task_doubts_add(leases, n);
            return;
        }
        aigw_task_doubts_drop(leases, n);
        for (i = 0; i < n; i++) {
            begin(p, tasks[i], &leases[i]);
            aigw_task_watch_hint(leases[i].id);
        }
        apr_pool_clear(p);
    } while (n == CLAIM && aigw_clock_now() < until);
    if (n == CLAIM) {
        apr_thread_mutex_lock(aigw_task_runner.mutex);
        aigw_task_runner.woken = 1;
        apr_thread_mutex_unlock(aigw_task_runner.mutex);
    }
}

/* ------------------------------------------------------------------ the thread */

/* For a moment: what has gathered in days may take minutes, and meanwhile nobody would say that those who run here live. 1: there is more. */
static int sweep(apr_pool_t *p)
{
    const apr_time_t until = aigw_clock_now() + SWEEP_TIME;
    int more = 1;

    while (more && aigw_clock_now() < until) {
        if (aigw_task_runner.vt->task_sweep(aigw_task_runner.store, p, aigw_tasks_conf()->attempts, LOST, &more) != APR_SUCCESS) {
            more = 0;
        }
        apr_pool_clear(p);
    }
    return more;
}

/* Until there is news, or it is time to look. */
static void wait_a_while(void)
{
    const apr_interval_time_t beats = aigw_tasks_conf()->lease / 3;

    apr_thread_mutex_lock(aigw_task_runner.mutex);
    if (!aigw_task_runner.woken) {
        apr_thread_cond_timedwait(aigw_task_runner.news, aigw_task_runner.mutex, beats < AIGW_TASK_TICK ? beats : AIGW_TASK_TICK);
    }
    aigw_task_runner.woken = 0;
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
}

/* How long is there still? Microseconds; 0: what runs now is to be handed back; less: it is high time. *left: whether something still runs, or has ended and is not written. */
static apr_interval_time_t draining(int *left)
{
    const apr_time_t now = aigw_clock_now();
    apr_interval_time_t still;

    apr_thread_mutex_lock(aigw_task_runner.mutex);
    if (aigw_task_runner.hurry && aigw_task_runner.until > now) {
        aigw_task_runner.until = now;
    }
    still = aigw_task_runner.until - now;
    *left = aigw_task_runner.nrunning || !APR_RING_EMPTY(&aigw_task_runner.ended, aigw_task_run_t, link);
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    return still;
}

/* The drain is over: what still runs is cancelled, which takes no time where the upstream is being waited for. */
static void cancel_all(void)
{
    aigw_task_run_t *run;

    apr_thread_mutex_lock(aigw_task_runner.mutex);
    for (run = APR_RING_FIRST(&aigw_task_runner.running); run != APR_RING_SENTINEL(&aigw_task_runner.running, aigw_task_run_t, link);
         run = APR_RING_NEXT(run, link)) {
        aigw_tasks_core->call_cancel(run->call);
    }
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
}

static void drain(apr_pool_t *p)
{
    apr_status_t rv;
    int left;

    aigw_task_doubts_settle(p, 1);
    while (draining(&left) > 0 && left) {
        aigw_task_ends_write(p);
        aigw_task_beats(p);
        aigw_task_doubts_settle(p, 0);
        wait_a_while();
    }
    cancel_all();
    /* while some are written others end: whoever looked only whether any still runs would leave those without a word */
    while (rv = aigw_task_ends_write(p), draining(&left) >= -GRACE && left) {
        wait_a_while();
    }
    if (aigw_task_ends_hand_back(p) && rv != APR_EAGAIN) {
        rv = aigw_task_ends_write(p); /* the same: some ended before they were handed back */
    }
    if (rv == APR_EAGAIN) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, aigw_task_runner.server,
                     "AIGW0603: tasks have ended while the store was away, and this child must go: others will run them again");
    }
}

static int is_stopping(void)
{
    int stopping;

    apr_thread_mutex_lock(aigw_task_runner.mutex);
    stopping = aigw_task_runner.stopping;
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    return stopping;
}

static void *APR_THREAD_FUNC runner_main(apr_thread_t *thread, void *data)
{
    apr_pool_t *p;
    int more = 0; /* to be swept */

    apr_pool_create(&p, aigw_task_runner.pool);
    while (!is_stopping()) {
        const apr_time_t now = aigw_clock_now();

        aigw_task_ends_write(p);
        if (aigw_task_beats(p) == APR_EAGAIN) {
            /* leases may be over by now: who sweeps before he has said that his own live takes them back */
            aigw_task_runner.swept = now;
            more = 0;
        }
        aigw_task_doubts_settle(p, 0);
        if (more || now - aigw_task_runner.swept >= SWEEP_EVERY) {
            aigw_task_runner.swept = now;
            more = sweep(p);
        }
        claim(p);
        if (!more) {
            wait_a_while();
        }
    }
    drain(p);
    return NULL;
}

void aigw_task_runner_wake(void)
{
    sigset_t before;

    if (aigw_task_runner.thread) {
        aigw_signals_hold(&before);
        apr_thread_mutex_lock(aigw_task_runner.mutex);
        aigw_task_runner.woken = 1;
        apr_thread_cond_signal(aigw_task_runner.news);
        apr_thread_mutex_unlock(aigw_task_runner.mutex);
        aigw_signals_release(&before);
    }
}

void aigw_task_runner_cancel(const char *id)
{
    aigw_task_run_t *run;
    sigset_t before;

    if (!aigw_task_runner.thread) {
        return;
    }
    aigw_signals_hold(&before);
    apr_thread_mutex_lock(aigw_task_runner.mutex);
    for (run = APR_RING_FIRST(&aigw_task_runner.running); run != APR_RING_SENTINEL(&aigw_task_runner.running, aigw_task_run_t, link);
         run = APR_RING_NEXT(run, link)) {
        if (run->started && !strcmp(run->lease.id, id)) {
            aigw_task_run_cancel(run);
        }
    }
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    aigw_signals_release(&before);
}

/* ------------------------------------------------------------------ the end of the child */

static void stop(apr_interval_time_t drain)
{
    const apr_time_t until = aigw_clock_now() + drain;
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(aigw_task_runner.mutex);
    if (!aigw_task_runner.stopping || until < aigw_task_runner.until) {
        aigw_task_runner.until = until;
    }
    aigw_task_runner.stopping = aigw_task_runner.woken = 1;
    apr_thread_cond_signal(aigw_task_runner.news);
    apr_thread_mutex_unlock(aigw_task_runner.mutex);
    aigw_signals_release(&before);
}

/* The child's pool is going; before the engine ends, and before the store closes. */
static apr_status_t child_exit(void *data)
{
    apr_status_t rv;

    if (aigw_task_runner.thread) {
        if (!is_stopping()) {
            stop(0);
        }
        apr_thread_join(&rv, aigw_task_runner.thread);
        aigw_task_runner.thread = NULL;
    }
    return APR_SUCCESS;
}

static void on_term(int sig)
{
    aigw_task_runner.hurry = 1;
}

/* prefork's handlers of SIGTERM and SIGHUP do not return: here is still inside of one. */
static int in_handler(void)
{
    sigset_t blocked;

    return pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 && (sigismember(&blocked, SIGTERM) || sigismember(&blocked, SIGHUP));
}

void aigw_task_runner_stopping(apr_pool_t *pchild, int graceful)
{
    /* at a graceful restart there is another generation by now, which takes what is waiting: no hurry */
    const int restarted = ap_scoreboard_image && ap_scoreboard_image->global->running_generation != aigw_task_runner.generation;
    const int hard = aigw_task_runner.prefork ? in_handler() : !graceful;

    if (!aigw_task_runner.thread) {
        return;
    }
    stop(hard ? 0 : restarted ? aigw_tasks_conf()->drain_restart : aigw_tasks_conf()->drain);
    if (aigw_task_runner.prefork &&
        !hard) { /* the core ends its engine next, whatever the reason: it is waited for here. And httpd has SIGTERM ignored by now */
        struct sigaction act;

        memset(&act, 0, sizeof act);
        act.sa_handler = on_term;
        sigaction(SIGTERM, &act, NULL);
        child_exit(NULL);
    }
}

void aigw_task_runner_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    char uuid[APR_UUID_FORMATTED_LENGTH + 1];
    apr_uuid_t made;
    sigset_t before;
    apr_status_t rv = APR_ENOMEM;
    int threaded = 0;

    aigw_task_runner.vt = aigw_tasks_core->store(&aigw_task_runner.store);
    if (!aigw_task_runner.vt || !aigw_tasks_conf()->workers) {
        return;
    }
    aigw_task_runner.server = main_server;
    aigw_task_runner.generation = ap_scoreboard_image ? ap_scoreboard_image->global->running_generation : 0;
    aigw_task_runner.prefork = ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED;
    aigw_task_runner.pool = aigw_own_pool(pchild);
    if (aigw_task_runner.pool &&
        (rv = apr_thread_mutex_create(&aigw_task_runner.mutex, APR_THREAD_MUTEX_DEFAULT, aigw_task_runner.pool)) == APR_SUCCESS &&
        (rv = apr_thread_cond_create(&aigw_task_runner.news, aigw_task_runner.pool)) == APR_SUCCESS) {
        APR_RING_INIT(&aigw_task_runner.running, aigw_task_run_t, link);
        APR_RING_INIT(&aigw_task_runner.ended, aigw_task_run_t, link);
        apr_uuid_get(&made);
        apr_uuid_format(uuid, &made);
        aigw_task_runner.holder = apr_pstrdup(aigw_task_runner.pool, uuid);
        aigw_signals_hold(&before);
        rv = ap_thread_create(&aigw_task_runner.thread, NULL, runner_main, NULL, aigw_task_runner.pool);
        aigw_signals_release(&before);
    }
    if (rv != APR_SUCCESS) {
        aigw_task_runner.thread = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server, "AIGW0602: no thread to run tasks in this child: others run them");
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, child_exit);
}
