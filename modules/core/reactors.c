#include "reactor_loop.h"
#include "engine.h"
#include "aigw_source.h"

#include <http_log.h>
#include <http_core.h>
#include <http_main.h>
#include <apr_atomic.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw);

static struct {
    apr_thread_mutex_t *mutex; /* made in start(), guards starting and stopping */
    aigw_reactor_t *all;
    int n;
    volatile apr_uint32_t next, running, stop, gone; /* gone: the loops have ended or are about to: nobody needs to be woken */
} reactors;

int aigw_reactors_stopping(void)
{
    return apr_atomic_read32(&reactors.stop) != 0;
}

/* ------------------------------------------------------------------ start and stop */

static void wake(aigw_reactor_t *re)
{
    const apr_uint64_t one = 1;

    if (write(re->wakefd, &one, sizeof one) < 0 && errno != EAGAIN) { /* EAGAIN: more than enough wake-ups are pending */
        ap_log_error(APLOG_MARK, APLOG_CRIT, errno, ap_server_conf, "AIGW0130: the event loop cannot be woken");
    }
}

/* Under re->mutex. */
static void wake_once(aigw_reactor_t *re)
{
    if (!re->woken) {
        re->woken = 1;
        wake(re);
    }
}

static apr_status_t stop_cleanup(void *data)
{
    aigw_reactor_stop();
    return APR_SUCCESS;
}

static apr_status_t start_one(aigw_reactor_t *re, apr_pool_t *p)
{
    struct epoll_event ev;
    apr_status_t rv;

    APR_RING_INIT(&re->incoming, aigw_drive_t, link);
    APR_RING_INIT(&re->active, aigw_drive_t, link);
    APR_RING_INIT(&re->busy, aigw_drive_t, link);
    APR_RING_INIT(&re->leaving, aigw_drive_t, link);
    re->timers = aigw_timers_make(p);
    if ((rv = apr_thread_mutex_create(&re->mutex, APR_THREAD_MUTEX_DEFAULT, p)) != APR_SUCCESS ||
        (rv = apr_thread_cond_create(&re->cond, p)) != APR_SUCCESS) {
        return rv;
    }
    re->epfd = epoll_create1(EPOLL_CLOEXEC);
    re->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    re->wake_watch.fd = re->wakefd;
    ev.events = EPOLLIN;
    ev.data.ptr = &re->wake_watch;
    if (re->epfd < 0 || re->wakefd < 0 || epoll_ctl(re->epfd, EPOLL_CTL_ADD, re->wakefd, &ev)) {
        rv = errno;
        if (re->epfd >= 0) {
            close(re->epfd);
        }
        if (re->wakefd >= 0) {
            close(re->wakefd);
        }
        return rv;
    }
    re->running = 1;
    /* ap_thread_create(), not apr_: it sets ap_thread_current() */
    if ((rv = ap_thread_create(&re->thread, NULL, aigw_reactor_loop, re, p)) != APR_SUCCESS) {
        re->running = 0;
        close(re->epfd);
        close(re->wakefd);
    }
    return rv;
}

apr_status_t aigw_reactor_start(apr_pool_t *p, server_rec *main_server, int threads)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    if (apr_atomic_read32(&reactors.stop)) {
        return APR_EOF;
    }
    reactors.all = apr_pcalloc(p, (apr_size_t)threads * sizeof *reactors.all);
    for (i = 0; i < threads && rv == APR_SUCCESS; i++) {
        if ((rv = start_one(&reactors.all[i], p)) == APR_SUCCESS) {
            reactors.n = i + 1;
        }
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, main_server, "AIGW0133: only %d of %d event loops could be started%s", reactors.n, threads,
                     reactors.n ? "" : ": every open answer keeps a worker thread");
    }
    if (reactors.n) {
        /* a graceful exit destroys the child's pool once all connections are done */
        apr_pool_pre_cleanup_register(p, NULL, stop_cleanup);
        apr_atomic_set32(&reactors.running, 1);
        rv = APR_SUCCESS;
    }
    return rv;
}

void aigw_reactor_end_soon(void)
{
    const apr_uint64_t one = 1;
    int i, saved = errno;

    apr_atomic_set32(&reactors.stop, 1);
    for (i = 0; i < reactors.n && !apr_atomic_read32(&reactors.gone); i++) { /* SIGTERM may come again when their pool is gone */
        if (write(reactors.all[i].wakefd, &one, sizeof one) < 0) {
            continue; /* as many wake-ups are pending as it can count */
        }
    }
    errno = saved;
}

void aigw_reactor_stop(void)
{
    apr_status_t rv;
    int i;

    if (!apr_atomic_xchg32(&reactors.running, 0)) {
        return;
    }
    aigw_reactor_end_soon();
    apr_atomic_set32(&reactors.gone, 1);
    for (i = 0; i < reactors.n; i++) {
        apr_thread_join(&rv, reactors.all[i].thread);
        close(reactors.all[i].epfd);
        close(reactors.all[i].wakefd);
    }
}

int aigw_reactor_running(void)
{
    return apr_atomic_read32(&reactors.running) && !apr_atomic_read32(&reactors.stop);
}

unsigned aigw_reactor_count(void)
{
    unsigned total = 0;
    int i;

    for (i = 0; i < reactors.n; i++) {
        total += apr_atomic_read32(&reactors.all[i].count);
    }
    return total;
}

/* ------------------------------------------------------------------ from other threads */

void aigw_reactor_choose(aigw_drive_t *d)
{
    if (!d->reactor) {
        d->reactor = &reactors.all[apr_atomic_inc32(&reactors.next) % (apr_uint32_t)reactors.n];
    }
}

int aigw_reactor_add(aigw_drive_t *d)
{
    aigw_reactor_t *re;

    if (!aigw_reactor_running()) {
        return 0;
    }
    aigw_reactor_choose(d);
    re = d->reactor;
    d->gone = d->busy = d->taking = d->hung_up = 0;
    d->upstream.drive = d->client.drive = d;
    d->upstream.fd = d->call->source->fd;
    d->upstream.events = d->client.events = 0;
    d->timer.owner = d;
    apr_thread_mutex_lock(re->mutex);
    if (re->closed) {
        apr_thread_mutex_unlock(re->mutex);
        return 0;
    }
    APR_RING_INSERT_TAIL(&re->incoming, d, aigw_drive_t, link);
    wake_once(re);
    apr_thread_mutex_unlock(re->mutex);
    return 1;
}

aigw_take_t aigw_reactor_take_begin(aigw_drive_t *d)
{
    aigw_take_t take = {d->reactor, 0};
    aigw_reactor_t *re = d->reactor;

    apr_thread_mutex_lock(re->mutex);
    d->taking = 1;
    take.ticket = ++re->takes;
    if (re->running) {
        wake(re);
    }
    apr_thread_mutex_unlock(re->mutex);
    return take;
}

void aigw_reactor_take_wait(const aigw_take_t *take)
{
    aigw_reactor_t *re = take->reactor;

    apr_thread_mutex_lock(re->mutex);
    while (re->running && (int)(re->taken - take->ticket) < 0) {
        apr_thread_cond_wait(re->cond, re->mutex);
    }
    apr_thread_mutex_unlock(re->mutex);
}

void aigw_reactor_nudge(aigw_drive_t *d)
{
    aigw_reactor_t *re = d->reactor;

    if (aigw_reactor_running()) {
        apr_thread_mutex_lock(re->mutex);
        if (re->running) { /* under the mutex, or its descriptor may be closed by now, and be another's */
            re->nudged = 1;
            wake_once(re);
        }
        apr_thread_mutex_unlock(re->mutex);
    }
}
