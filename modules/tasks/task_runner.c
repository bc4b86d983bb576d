#include "task_callback.h"
#include "task_runner.h"
#include "task_watch.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"
#include "aigw_spread.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <http_main.h>
#include <scoreboard.h>
#include <apr_atomic.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_uuid.h>

#include <signal.h>

APLOG_USE_MODULE(aigw_tasks);

#define TICK        apr_time_from_sec(1) /* when somebody else's tasks are looked for */
#define SWEEP_EVERY apr_time_from_sec(10)
#define SWEEP_TIME  apr_time_from_msec(100)
#define CLAIM       32 /* at a time */
#define LOOK        1000
#define LOOK_EACH   apr_time_from_msec(5) /* of those that run: how often is asked whether one is cancelled, and told how far each has come */
#define OWNERS      1024                  /* kinds of owners, by a number that several may share */
#define GRACE                                                                                                                              \
    apr_time_from_sec(                                                                                                                     \
        2) /* for calls to end that were told to, and for the store to take it: httpd kills a child that is still there some seconds after SIGTERM */
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
    apr_time_t until; /* stopping: when what still runs is handed back */
    aigw_spread_t waiting[OWNERS];
    ap_generation_t generation;       /* constant */
    int prefork;                      /* constant */
    apr_time_t beaten, looked, swept; /* the runner's thread */
    volatile sig_atomic_t hurry;      /* prefork: SIGTERM while it drains */
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

/* The mutex is held. */
static aigw_task_state_e outcome(aigw_task_run_t *run)
{
    if (!run->failed) {
        return AIGW_TASK_COMPLETED;
    }
    if (run->cancelled) {
        return AIGW_TASK_CANCELLED;
    }
    if (runner.stopping) {
        return AIGW_TASK_PENDING;
    }
    if ((run->later || run->cut) && apr_time_now() - run->created < aigw_tasks_conf()->patience) {
        run->delay = aigw_spread_next(&runner.waiting[run->owner % OWNERS], aigw_clock_now(), run->asked, ap_random_pick(0, 1000) / 1000.0);
        return AIGW_TASK_PENDING;
    }
    return AIGW_TASK_FAILED;
}

void aigw_task_runner_ended(aigw_task_run_t *run)
{
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(runner.mutex);
    over(run, outcome(run));
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
        over(run, outcome(run));
    }
    apr_thread_mutex_unlock(runner.mutex);
    if (ready) {
        const apr_status_t rv = aigw_task_run_start(run);

        apr_thread_mutex_lock(runner.mutex);
        run->started = 1;        /* it may have ended, but nobody but this thread frees it */
        if (rv != APR_SUCCESS) { /* the child is stopping */
            over(run, AIGW_TASK_PENDING);
        }
        apr_thread_mutex_unlock(runner.mutex);
    }
}

static void claim(apr_pool_t *p)
{
    const aigw_task_t *tasks[CLAIM];
    aigw_task_lease_t leases[CLAIM];
    const apr_time_t until = aigw_clock_now() + aigw_tasks_conf()->lease / 6; /* then the signs of life come first again */
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
            aigw_task_watch_hint(leases[i].id);
        }
        apr_pool_clear(p);
    } while (n == CLAIM && aigw_clock_now() < until);
    if (n == CLAIM) {
        apr_thread_mutex_lock(runner.mutex);
        runner.woken = 1;
        apr_thread_mutex_unlock(runner.mutex);
    }
}

/* ------------------------------------------------------------------ signs of life */

/* The mutex is held. */
static void cancel(aigw_task_run_t *run)
{
    if (!run->cancelled) {
        run->cancelled = 1;
        aigw_tasks_core->call_cancel(run->call);
    }
}

/* What the store said of some of those that run here, in the order of the ring; some of them have ended meanwhile. */
static void heed(const aigw_task_beat_t *beats, int n)
{
    aigw_task_run_t *run;
    int i = 0, k;

    apr_thread_mutex_lock(runner.mutex);
    for (run = APR_RING_FIRST(&runner.running); run != APR_RING_SENTINEL(&runner.running, aigw_task_run_t, link);
         run = APR_RING_NEXT(run, link)) {
        for (k = i; k < n && (beats[k].lease.number != run->lease.number || strcmp(beats[k].lease.id, run->lease.id)); k++) {
        }
        if (k == n) {
            continue;
        }
        if (beats[k].lost || beats[k].cancelling) {
            cancel(run);
        }
        i = k + 1;
    }
    apr_thread_mutex_unlock(runner.mutex);
}

/* A copy of all that run here, in p; everything: 0: only of those that have come on since they were last to be written. */
static aigw_task_beat_t *running(apr_pool_t *p, int everything, int to_write, int *n)
{
    aigw_task_beat_t *beats;
    aigw_task_run_t *run;

    *n = 0;
    apr_thread_mutex_lock(runner.mutex);
    beats = apr_pcalloc(p, (apr_size_t)(runner.nrunning + 1) * sizeof *beats);
    for (run = APR_RING_FIRST(&runner.running); run != APR_RING_SENTINEL(&runner.running, aigw_task_run_t, link);
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
    apr_thread_mutex_unlock(runner.mutex);
    return beats;
}

static aigw_task_beat_t *all_running(apr_pool_t *p, int *n)
{
    return running(p, 1, 0, n);
}

static void beat(apr_pool_t *p, int everything)
{
    int n;
    aigw_task_beat_t *beats = running(p, everything, 1, &n);

    if (n && runner.vt->task_beat(runner.store, p, beats, n, aigw_tasks_conf()->lease) == APR_SUCCESS) {
        heed(beats, n);
        while (n-- > 0) {
            aigw_task_watch_hint(beats[n].lease.id);
        }
    }
}

/* Who wants his task to end need not wait for its next sign of life, which is a write. */
static void look(apr_pool_t *p)
{
    const char *ids[LOOK];
    const aigw_task_t *tasks[LOOK];
    int n, i, from, some;
    aigw_task_beat_t *beats = all_running(p, &n);

    for (from = 0; from < n; from += some) {
        some = n - from < LOOK ? n - from : LOOK;
        for (i = 0; i < some; i++) {
            ids[i] = beats[from + i].lease.id;
        }
        if (runner.vt->task_look(runner.store, p, ids, some, tasks) != APR_SUCCESS) {
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

    apr_thread_mutex_lock(runner.mutex);
    n = runner.nrunning;
    apr_thread_mutex_unlock(runner.mutex);
    return n;
}

static void signs_of_life(apr_pool_t *p)
{
    const apr_time_t now = aigw_clock_now();

    if (now - runner.beaten >= aigw_tasks_conf()->lease / 3) {
        runner.beaten = runner.looked = now;
        beat(p, 1);
    }
    else if (now - runner.looked >= TICK + count_running() * LOOK_EACH) {
        runner.looked = now;
        beat(p, 0); /* for who watches them */
        look(p);
    }
    apr_pool_clear(p);
}

/* ------------------------------------------------------------------ writing the end */

/* Those that have ended are written in one step. Where the store is away they stay for the next time: APR_EAGAIN. */
static apr_status_t write_ends(apr_pool_t *p)
{
    struct runs_t ended;
    aigw_task_end_t *ends;
    aigw_task_run_t *run;
    apr_status_t rv = APR_SUCCESS;
    int n = 0, tells = 0;

    APR_RING_INIT(&ended, aigw_task_run_t, link);
    apr_thread_mutex_lock(runner.mutex);
    APR_RING_CONCAT(&ended, &runner.ended, aigw_task_run_t, link);
    apr_thread_mutex_unlock(runner.mutex);
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
    if (n && (rv = runner.vt->task_end(runner.store, p, ends, n)) == APR_EAGAIN) {
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
        aigw_task_watch_hint(run->lease.id);
        aigw_task_run_free(run);
    }
    apr_pool_clear(p);
    return rv;
}

/* ------------------------------------------------------------------ the thread */

/* For a moment: what has gathered in days may take minutes, and meanwhile nobody would say that those who run here live. 1: there is more. */
static int sweep(apr_pool_t *p)
{
    const apr_time_t until = aigw_clock_now() + SWEEP_TIME;
    int more = 1;

    while (more && aigw_clock_now() < until) {
        if (runner.vt->task_sweep(runner.store, p, aigw_tasks_conf()->attempts, LOST, &more) != APR_SUCCESS) {
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

    apr_thread_mutex_lock(runner.mutex);
    if (!runner.woken) {
        apr_thread_cond_timedwait(runner.news, runner.mutex, beats < TICK ? beats : TICK);
    }
    runner.woken = 0;
    apr_thread_mutex_unlock(runner.mutex);
}

/* How long is there still? Microseconds; 0: what runs now is to be handed back; less: it is high time. *left: whether something still runs, or has ended and is not written. */
static apr_interval_time_t draining(int *left)
{
    const apr_time_t now = aigw_clock_now();
    apr_interval_time_t still;

    apr_thread_mutex_lock(runner.mutex);
    if (runner.hurry && runner.until > now) {
        runner.until = now;
    }
    still = runner.until - now;
    *left = runner.nrunning || !APR_RING_EMPTY(&runner.ended, aigw_task_run_t, link);
    apr_thread_mutex_unlock(runner.mutex);
    return still;
}

/* Their calls end when they end: nobody waits for them any more, and what they say then is not written. How many there are. */
static int hand_back(apr_pool_t *p)
{
    int n, i;
    aigw_task_beat_t *beats = all_running(p, &n);
    aigw_task_end_t *ends = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof *ends);

    for (i = 0; i < n; i++) {
        ends[i].lease = beats[i].lease;
        ends[i].state = AIGW_TASK_PENDING;
        ends[i].tokens = -1;
    }
    if (n) {
        runner.vt->task_end(runner.store, p, ends, n);
    }
    apr_pool_clear(p);
    return n;
}

/* The drain is over: what still runs is cancelled, which takes no time where the upstream is being waited for. */
static void cancel_all(void)
{
    aigw_task_run_t *run;

    apr_thread_mutex_lock(runner.mutex);
    for (run = APR_RING_FIRST(&runner.running); run != APR_RING_SENTINEL(&runner.running, aigw_task_run_t, link);
         run = APR_RING_NEXT(run, link)) {
        aigw_tasks_core->call_cancel(run->call);
    }
    apr_thread_mutex_unlock(runner.mutex);
}

static void drain(apr_pool_t *p)
{
    apr_status_t rv;
    int left;

    while (draining(&left) > 0 && left) {
        write_ends(p);
        signs_of_life(p);
        wait_a_while();
    }
    cancel_all();
    /* while some are written others end: whoever looked only whether any still runs would leave those without a word */
    while (rv = write_ends(p), draining(&left) >= -GRACE && left) {
        wait_a_while();
    }
    if (hand_back(p) && rv != APR_EAGAIN) {
        rv = write_ends(p); /* the same: some ended before they were handed back */
    }
    if (rv == APR_EAGAIN) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, runner.server,
                     "AIGW0603: tasks have ended while the store was away, and this child must go: others will run them again");
    }
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
    apr_pool_t *p;
    int more = 0; /* to be swept */

    apr_pool_create(&p, runner.pool);
    while (!is_stopping()) {
        const apr_time_t now = aigw_clock_now();

        write_ends(p);
        signs_of_life(p);
        if (more || now - runner.swept >= SWEEP_EVERY) {
            runner.swept = now;
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

    if (runner.thread) {
        aigw_signals_hold(&before);
        apr_thread_mutex_lock(runner.mutex);
        runner.woken = 1;
        apr_thread_cond_signal(runner.news);
        apr_thread_mutex_unlock(runner.mutex);
        aigw_signals_release(&before);
    }
}

void aigw_task_runner_cancel(const char *id)
{
    aigw_task_run_t *run;
    sigset_t before;

    if (!runner.thread) {
        return;
    }
    aigw_signals_hold(&before);
    apr_thread_mutex_lock(runner.mutex);
    APR_RING_FOREACH(run, &runner.running, aigw_task_run_t, link)
    {
        if (run->started && !strcmp(run->lease.id, id)) {
            cancel(run);
        }
    }
    apr_thread_mutex_unlock(runner.mutex);
    aigw_signals_release(&before);
}

/* ------------------------------------------------------------------ the end of the child */

static void stop(apr_interval_time_t drain)
{
    const apr_time_t until = aigw_clock_now() + drain;
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(runner.mutex);
    if (!runner.stopping || until < runner.until) {
        runner.until = until;
    }
    runner.stopping = runner.woken = 1;
    apr_thread_cond_signal(runner.news);
    apr_thread_mutex_unlock(runner.mutex);
    aigw_signals_release(&before);
}

/* The child's pool is going; before the engine ends, and before the store closes. */
static apr_status_t child_exit(void *data)
{
    apr_status_t rv;

    if (runner.thread) {
        if (!is_stopping()) {
            stop(0);
        }
        apr_thread_join(&rv, runner.thread);
        runner.thread = NULL;
    }
    return APR_SUCCESS;
}

static void on_term(int sig)
{
    runner.hurry = 1;
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
    const int restarted = ap_scoreboard_image && ap_scoreboard_image->global->running_generation != runner.generation;
    const int hard = runner.prefork ? in_handler() : !graceful;

    if (!runner.thread) {
        return;
    }
    stop(hard ? 0 : restarted ? aigw_tasks_conf()->drain_restart : aigw_tasks_conf()->drain);
    if (runner.prefork &&
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

    runner.vt = aigw_tasks_core->store(&runner.store);
    if (!runner.vt || !aigw_tasks_conf()->workers) {
        return;
    }
    runner.server = main_server;
    runner.generation = ap_scoreboard_image ? ap_scoreboard_image->global->running_generation : 0;
    runner.prefork = ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED;
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
    apr_pool_pre_cleanup_register(pchild, NULL, child_exit);
}
