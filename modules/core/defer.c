#include "defer.h"
#include "conf.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_core.h>
#include <http_log.h>
#include <apr_atomic.h>
#include <apr_queue.h>
#include <apr_thread_proc.h>
#include <apr_thread_mutex.h>

APLOG_USE_MODULE(aigw);

typedef struct job_t {
    const char *name;
    aigw_defer_fn fn;
    void *baton;
} job_t;

static struct {
    apr_pool_t *pool;
    server_rec *server;
    apr_queue_t *queue;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex; /* starting the thread */
    volatile apr_uint32_t closed;
    volatile apr_uint32_t complained; /* the queue was full and has not been empty since */
} deferred;

static void run(job_t *job, apr_pool_t *p)
{
    job->fn(job->baton, p);
    free(job);
    apr_pool_clear(p);
}

/* Until the queue is closed, then what is left in it: a graceful stop loses nothing. */
static void *APR_THREAD_FUNC defer_main(apr_thread_t *thread, void *data)
{
    apr_pool_t *p;
    void *job;
    apr_status_t rv;

    apr_pool_create(&p, deferred.pool);
    while ((rv = apr_queue_pop(deferred.queue, &job)) == APR_SUCCESS || APR_STATUS_IS_EINTR(rv)) {
        if (rv == APR_SUCCESS) {
            if (!job) {
                break; /* the last one: all that was queued before it has run */
            }
            run(job, p);
            apr_atomic_set32(&deferred.complained, 0);
        }
    }
    return NULL;
}

/* Runs what is queued and ends the thread. The child's pool is going: all connections are done. */
static apr_status_t drain(void *data)
{
    apr_status_t rv;

    apr_thread_mutex_lock(deferred.mutex);
    apr_atomic_set32(&deferred.closed, 1);
    apr_thread_mutex_unlock(deferred.mutex);
    if (deferred.thread) {
        while (APR_STATUS_IS_EINTR(apr_queue_push(deferred.queue, NULL))) {
        }
        apr_thread_join(&rv, deferred.thread);
    }
    return APR_SUCCESS;
}

void aigw_defer_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    apr_status_t rv;

    deferred.server = main_server;
    deferred.pool = aigw_own_pool(pchild);
    rv = deferred.pool ? APR_SUCCESS : APR_ENOMEM;
    if (rv != APR_SUCCESS || (rv = apr_thread_mutex_create(&deferred.mutex, APR_THREAD_MUTEX_DEFAULT, deferred.pool)) != APR_SUCCESS ||
        (rv = apr_queue_create(&deferred.queue, (unsigned)aigw_conf_defer_queue(main_server), deferred.pool)) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server,
                     "AIGW0160: no background queue in this child: work after the response is lost");
        deferred.queue = NULL;
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, drain);
}

/* Takes the job; the first one starts the thread. A signal may not interrupt this: drain() would wait for the mutex. */
static apr_status_t enqueue(job_t *job)
{
    apr_status_t rv = APR_SUCCESS;
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(deferred.mutex);
    if (apr_atomic_read32(&deferred.closed)) {
        rv = APR_EOF;
    }
    else if (!deferred.thread) {
        rv = ap_thread_create(&deferred.thread, NULL, defer_main, NULL, deferred.pool);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_queue_trypush(deferred.queue, job);
    }
    apr_thread_mutex_unlock(deferred.mutex);
    aigw_signals_release(&before);
    return rv;
}

apr_status_t aigw_defer(const char *name, aigw_defer_fn fn, void *baton)
{
    job_t *job;
    apr_status_t rv;

    if (!deferred.queue) {
        return APR_EOF;
    }
    if (!(job = malloc(sizeof *job))) {
        return APR_ENOMEM;
    }
    job->name = name;
    job->fn = fn;
    job->baton = baton;
    rv = enqueue(job);
    if (rv != APR_SUCCESS) {
        free(job);
        if (rv != APR_EOF && !apr_atomic_xchg32(&deferred.complained, 1)) {
            ap_log_error(
                APLOG_MARK, APLOG_ERR, rv, deferred.server,
                "AIGW0161: the background queue is full, '%s' and perhaps more is dropped: raise AIGWDeferQueue or find what is slow",
                name);
        }
    }
    return rv;
}
