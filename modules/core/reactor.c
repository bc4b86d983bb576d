#include "reactor_loop.h"
#include "call.h"
#include "engine.h"
#include "error.h"
#include "hooks.h"
#include "aigw_source.h"

#include <http_core.h>
#include <http_main.h>
#include <http_log.h>
#include <apr_thread_cond.h>
#include <apr_thread_proc.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw);

#define EVENTS_A_BATCH 256

/* ------------------------------------------------------------------ small parts */

static void watch(aigw_reactor_t *re, aigw_watch_t *w, unsigned events)
{
    struct epoll_event ev;
    int op = !w->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (w->events == events || w->fd < 0) {
        return;
    }
    ev.events = events;
    ev.data.ptr = w;
    if (epoll_ctl(re->epfd, op, w->fd, &ev) && !(op == EPOLL_CTL_DEL && (errno == EBADF || errno == ENOENT))) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, ap_server_conf, "AIGW0131: epoll_ctl %d failed: this call may hang until its time-out",
                     op);
        if (op == EPOLL_CTL_ADD) {
            return;
        }
    }
    w->events = events;
}

/* Removes a drive from all of the reactor's books. */
static void forget(aigw_reactor_t *re, aigw_drive_t *d)
{
    d->gone = 1;
    d->busy = 0;
    watch(re, &d->client, 0);
    watch(re, &d->upstream, 0);
    aigw_timers_drop(re->timers, &d->timer);
    APR_RING_REMOVE(d, link);
    apr_atomic_dec32(&re->count);
}

static int try_lock(aigw_drive_t *d)
{
    return !d->lock || apr_thread_mutex_trylock(d->lock) == APR_SUCCESS;
}

static void set_timer(aigw_reactor_t *re, aigw_drive_t *d, apr_time_t now)
{
    apr_time_t at = d->call->engine->deadline;

    if (d->kick_at && (!at || d->kick_at < at)) {
        at = d->kick_at;
    }
    if (at && at <= now) {
        at = now + 1000; /* a time that has passed and stays so must not keep this thread busy */
    }
    if (!at) {
        aigw_timers_drop(re->timers, &d->timer);
    }
    else if (d->timer.slot && d->timer.at <= at) {
        /* each token moves the time-outs on: rather one idle turn when the old time comes than a heap operation a token */
    }
    else if (aigw_timers_set(re->timers, &d->timer, at) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, APR_ENOMEM, ap_server_conf,
                     "AIGW0132: no memory for a timer: this call's time-outs do not work");
    }
}

static void set_busy(aigw_reactor_t *re, aigw_drive_t *d, int busy)
{
    if (busy != (int)d->busy) {
        APR_RING_REMOVE(d, link);
        d->busy = busy ? 1 : 0;
        APR_RING_INSERT_TAIL(busy ? &re->busy : &re->active, d, aigw_drive_t, link);
    }
}

/* ------------------------------------------------------------------ a turn */

static void leave(aigw_reactor_t *re, aigw_drive_t *d)
{
    forget(re, d);
    APR_RING_INSERT_TAIL(&re->leaving, d, aigw_drive_t, link);
}

static void settle_watches(aigw_reactor_t *re, aigw_drive_t *d, aigw_turn_e turn, apr_time_t now)
{
    const aigw_engine_t *eng = d->call->engine;

    if (eng->blocked) {
        /* DEL, not MOD to 0: EPOLLHUP and EPOLLERR cannot be masked */
        watch(re, &d->upstream, 0);
        watch(re, &d->client, EPOLLOUT | EPOLLRDHUP);
    }
    else {
        watch(re, &d->client, EPOLLRDHUP);
        watch(re, &d->upstream, turn == AIGW_TURN_AGAIN || eng->rest_until > now ? 0 : EPOLLIN | EPOLLRDHUP);
    }
    set_busy(re, d, turn == AIGW_TURN_AGAIN);
    set_timer(re, d, now);
}

/* The call's lock is held. */
static void turn_locked(aigw_reactor_t *re, aigw_drive_t *d, apr_time_t now)
{
    aigw_call_t *call = d->call;
    aigw_turn_e turn = aigw_engine_turn(call, now);

    if (turn == AIGW_TURN_DETACH) {
        watch(re, &d->client, 0);
        d->client.fd = -1;
        d->kick_at = 0;
        d->detach(d);
        apr_thread_mutex_lock(re->mutex);
        d->taking = 0; /* whoever wants the connection has it now; the call stays here */
        apr_thread_mutex_unlock(re->mutex);
        turn = AIGW_TURN_AGAIN;
    }
    if (turn == AIGW_TURN_WORKER) {
        leave(re, d);
        return;
    }
    if (d->kick_at && now >= d->kick_at) {
        d->kick(d, now);
    }
    settle_watches(re, d, turn, now);
}

static void give_turn(aigw_reactor_t *re, aigw_drive_t *d, apr_time_t now)
{
    apr_thread_mutex_t *lock = d->lock;

    if (!try_lock(d)) {
        set_busy(re, d, 1); /* a worker has it for some microseconds: later in this round */
        return;
    }
    if (d->hung_up && d->call->client) {
        d->call->client->connection->aborted = 1;
    }
    turn_locked(re, d, now);
    if (lock) {
        apr_thread_mutex_unlock(lock);
    }
}

void aigw_reactor_unwatch_upstream(aigw_drive_t *d)
{
    if (d->reactor) {
        watch(d->reactor, &d->upstream, 0);
    }
    d->upstream.fd = -1;
}

static void on_event(aigw_reactor_t *re, aigw_watch_t *w, unsigned events, apr_time_t now)
{
    aigw_drive_t *d = w->drive;

    if (!d) {
        apr_uint64_t n;
        if (read(re->wakefd, &n, sizeof n) < 0 && errno != EAGAIN) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, errno, ap_server_conf, "AIGW0134: the event loop's wake-up cannot be read");
        }
        return;
    }
    if (d->gone || !w->events) {
        return;
    }
    if (w == &d->client && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && d->call->client) {
        d->hung_up = 1;
    }
    give_turn(re, d, now);
}

/* ------------------------------------------------------------------ the loop */

static void accept_incoming(aigw_reactor_t *re, apr_time_t now)
{
    struct drive_ring in;

    APR_RING_INIT(&in, aigw_drive_t, link);
    apr_thread_mutex_lock(re->mutex);
    re->woken = 0;
    APR_RING_CONCAT(&in, &re->incoming, aigw_drive_t, link);
    apr_thread_mutex_unlock(re->mutex);
    while (!APR_RING_EMPTY(&in, aigw_drive_t, link)) {
        aigw_drive_t *d = APR_RING_FIRST(&in);
        APR_RING_REMOVE(d, link);
        APR_RING_INSERT_TAIL(&re->active, d, aigw_drive_t, link);
        apr_atomic_inc32(&re->count);
        give_turn(re, d, now);
    }
}

static void run_busy(aigw_reactor_t *re, apr_time_t now)
{
    struct drive_ring round;

    APR_RING_INIT(&round, aigw_drive_t, link);
    APR_RING_CONCAT(&round, &re->busy, aigw_drive_t, link);
    while (!APR_RING_EMPTY(&round, aigw_drive_t, link)) {
        aigw_drive_t *d = APR_RING_FIRST(&round);
        APR_RING_REMOVE(d, link);
        d->busy = 0;
        APR_RING_INSERT_TAIL(&re->active, d, aigw_drive_t, link);
        give_turn(re, d, now);
    }
}

static void run_timers(aigw_reactor_t *re, apr_time_t now)
{
    aigw_timer_t *t;

    while ((t = aigw_timers_due(re->timers, now)) != NULL) {
        give_turn(re, t->owner, now);
    }
}

/* At the end of a batch: no event in hand can refer to these any more. */
static void hand_back(aigw_reactor_t *re)
{
    while (!APR_RING_EMPTY(&re->leaving, aigw_drive_t, link)) {
        aigw_drive_t *d = APR_RING_FIRST(&re->leaving);
        apr_thread_mutex_t *lock = d->lock;

        APR_RING_REMOVE(d, link);
        if (lock) {
            apr_thread_mutex_lock(lock); /* a worker holds it for microseconds at most */
        }
        if (lock && aigw_reactors_stopping()) {
            aigw_engine_conclude(d->call);
            aigw_hooks_settle(d->call); /* there may be no worker left to do it */
        }
        d->hand_back(d);
        if (lock) {
            apr_thread_mutex_unlock(lock); /* d may be gone by now, the park's lock is not */
        }
    }
}

static void let_take(aigw_reactor_t *re)
{
    apr_thread_mutex_lock(re->mutex);
    if (re->takes != re->taken) {
        aigw_drive_t *d, *next;
        struct drive_ring *rings[] = {&re->active, &re->busy, &re->incoming};
        int i;

        for (i = 0; i < 3; i++) {
            for (d = APR_RING_FIRST(rings[i]); d != APR_RING_SENTINEL(rings[i], aigw_drive_t, link); d = next) {
                next = APR_RING_NEXT(d, link);
                if (!d->taking) {
                    continue;
                }
                if (i == 2) {
                    apr_atomic_inc32(&re->count); /* forget() counts it out */
                }
                forget(re, d);
            }
        }
        re->taken = re->takes;
        apr_thread_cond_broadcast(re->cond);
    }
    apr_thread_mutex_unlock(re->mutex);
}

/* Somebody was cancelled; rare, so they are looked for. */
static void run_nudged(aigw_reactor_t *re, apr_time_t now)
{
    aigw_drive_t *d, *next;
    int nudged;

    apr_thread_mutex_lock(re->mutex);
    nudged = re->nudged;
    re->nudged = 0;
    apr_thread_mutex_unlock(re->mutex);
    for (d = APR_RING_FIRST(&re->active); nudged && d != APR_RING_SENTINEL(&re->active, aigw_drive_t, link); d = next) {
        next = APR_RING_NEXT(d, link);
        if (apr_atomic_read32(&d->call->engine->cancelled)) {
            give_turn(re, d, now);
        }
    }
}

static int timeout_ms(aigw_reactor_t *re, apr_time_t now)
{
    apr_time_t next = aigw_timers_next(re->timers);

    if (!APR_RING_EMPTY(&re->busy, aigw_drive_t, link)) {
        return 0;
    }
    if (next < 0) {
        return -1;
    }
    return next <= now ? 0 : next - now > apr_time_from_sec(60) ? 60000 : (int)((next - now + 999) / 1000);
}

static void fail_all(aigw_reactor_t *re);

void *APR_THREAD_FUNC aigw_reactor_loop(apr_thread_t *thread, void *data)
{
    aigw_reactor_t *re = data;
    struct epoll_event ev[EVENTS_A_BATCH];

    while (!aigw_reactors_stopping()) {
        apr_time_t now = aigw_clock_now();
        int i, n = epoll_wait(re->epfd, ev, EVENTS_A_BATCH, timeout_ms(re, now));

        now = aigw_clock_now();
        for (i = 0; i < n; i++) {
            on_event(re, ev[i].data.ptr, ev[i].events, now);
        }
        run_busy(re, now);
        run_timers(re, now);
        hand_back(re);
        let_take(re);
        accept_incoming(re, now);
        run_nudged(re, now);
        hand_back(re);
    }
    fail_all(re);
    return NULL;
}

/* ------------------------------------------------------------------ the end */

/* The child is being stopped the hard way. mod_proxy's pools assert that nothing is in use when the child's pool goes, so every upstream is released here;
 * and whoever is in the middle of an answer hears that it is cut. */
static void fail_ring(aigw_reactor_t *re, struct drive_ring *ring)
{
    while (!APR_RING_EMPTY(ring, aigw_drive_t, link)) {
        aigw_drive_t *d = APR_RING_FIRST(ring);
        aigw_call_t *call = d->call;
        apr_thread_mutex_t *lock = d->lock;

        if (lock) {
            apr_thread_mutex_lock(lock); /* a worker holds it for microseconds at most */
        }
        forget(re, d);
        aigw_engine_fail(call, aigw_error_make(call->pool, 503, "shutting_down", NULL, "The gateway is being stopped."));
        if (lock) {
            aigw_hooks_settle(call); /* there may be no worker left to do it */
            d->hand_back(d);         /* if there is one, it finishes the request */
            apr_thread_mutex_unlock(lock);
        }
        else {
            aigw_call_finish(call);
        }
    }
}

static void fail_all(aigw_reactor_t *re)
{
    hand_back(re);
    apr_thread_mutex_lock(re->mutex);
    re->closed = 1; /* aigw_reactor_add() from now on says no */
    while (!APR_RING_EMPTY(&re->incoming, aigw_drive_t, link)) {
        aigw_drive_t *d = APR_RING_FIRST(&re->incoming);
        APR_RING_REMOVE(d, link);
        APR_RING_INSERT_TAIL(&re->active, d, aigw_drive_t, link);
        apr_atomic_inc32(&re->count);
    }
    apr_thread_mutex_unlock(re->mutex);
    fail_ring(re, &re->active);
    fail_ring(re, &re->busy);
    apr_thread_mutex_lock(re->mutex);
    re->running = 0;
    apr_thread_cond_broadcast(re->cond);
    apr_thread_mutex_unlock(re->mutex);
}
