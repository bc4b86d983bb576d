#include "child.h"
#include "conf.h"
#include "defer.h"
#include "park.h"
#include "reactor.h"
#include "transport.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <apr_atomic.h>
#include <apr_thread_mutex.h>

#include <signal.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw);

#define HELPERS      4
#define LET_GO_TRIES 100 /* of 5 ms */

static struct {
    apr_pool_t *pool;
    server_rec *server;
    apr_thread_mutex_t *mutex;
    apr_thread_mutex_t *memory; /* prefork: of the child's pools */
    apr_thread_pool_t *helpers;
    volatile apr_uint32_t stopping, leaving;
} child;

/* Before anything else of the child goes: mod_proxy's pools assert that no connection is in use, and calls that drain, which httpd does not count, may still be. */
static apr_status_t child_exit(void *data)
{
    int i;

    aigw_reactor_stop();
    if (child.helpers) {
        /* destroying the pool would drop what waits in it: calls to be settled */
        for (i = 0; i < 500 && (apr_thread_pool_tasks_count(child.helpers) || apr_thread_pool_busy_count(child.helpers)); i++) {
            apr_sleep(apr_time_from_msec(10));
        }
        apr_thread_pool_destroy(child.helpers);
        child.helpers = NULL;
    }
    return APR_SUCCESS;
}

/* ------------------------------------------------------------------ prefork, and threads */

/* Prefork's child has pools for its one thread: their allocator has no lock. But mod_watchdog's threads have theirs among those, and so have mod_proxy's
 * connections, which our helper threads use; two threads that take memory at once get the same piece of it. */
void aigw_child_threads(apr_pool_t *pchild, server_rec *main_server)
{
    apr_allocator_t *allocator = apr_pool_allocator_get(pchild);
    apr_status_t rv;
    int threaded = 0;

    aigw_signals_child_init(ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) != APR_SUCCESS || threaded == AP_MPMQ_NOT_SUPPORTED);
    if (apr_allocator_mutex_get(allocator)) {
        return;
    }
    /* of the kind that anybody can unlock: let_go(). And it outlives the child's pool */
    rv = apr_thread_mutex_create(&child.memory, APR_THREAD_MUTEX_DEFAULT, main_server->process->pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server, "AIGW0152: no mutex for this child's memory: it may crash");
        child.memory = NULL;
        return;
    }
    apr_allocator_mutex_set(allocator, child.memory);
}

/* Prefork's handler of SIGTERM does not return: what it interrupted never goes on. If that had the memory's mutex, the threads that are to end now would wait for it, and
 * so would this one. Who has it cannot be asked: a mutex that knows does not while it is being taken or given back, which is where a busy child is often interrupted.
 * Another thread has it for microseconds. */
static void let_go(void)
{
    int i;

    if (!child.memory) {
        return;
    }
    for (i = 0; i < LET_GO_TRIES && apr_thread_mutex_trylock(child.memory) != APR_SUCCESS; i++) {
        apr_sleep(apr_time_from_msec(5));
    }
    apr_thread_mutex_unlock(child.memory); /* ours now, or of what was interrupted */
}

/* ------------------------------------------------------------------ start */

void aigw_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    apr_status_t rv;

    child.server = main_server;
    /* threads are made in it whenever they are first needed, and other modules use pchild meanwhile */
    child.pool = aigw_own_pool(pchild);
    rv = child.pool ? apr_thread_mutex_create(&child.mutex, APR_THREAD_MUTEX_DEFAULT, child.pool) : APR_ENOMEM;
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server, "AIGW0150: no mutex for this child: its answers keep their worker threads");
        return;
    }
    aigw_transport_child_init(pchild, main_server);
    aigw_defer_child_init(pchild, main_server);
    if (aigw_park_supported()) {
        aigw_child_reactors();
    }
    apr_pool_pre_cleanup_register(pchild, NULL, child_exit);
}

int aigw_child_reactors(void)
{
    sigset_t before;

    if (!aigw_reactor_running() && child.mutex) {
        aigw_signals_hold(&before);
        apr_thread_mutex_lock(child.mutex);
        if (!aigw_reactor_running()) {
            aigw_reactor_start(child.pool, child.server, aigw_conf_reactors(child.server));
        }
        apr_thread_mutex_unlock(child.mutex);
        aigw_signals_release(&before);
    }
    return aigw_reactor_running();
}

/* Under the mutex. All of them from the first call on: with none to keep APR's pool makes one for each call, and keeps some 50 bytes for each that it ever made; it gives
 * a call to one that it has just woken for another, rather than to a new one; and where it cannot make a new one it says so, and runs the call all the same. */
static apr_status_t start_helpers(void)
{
    apr_pool_t *pool;
    apr_status_t rv = apr_pool_create(&pool, child.pool);

    if (rv == APR_SUCCESS && (rv = apr_thread_pool_create(&child.helpers, HELPERS, HELPERS, pool)) != APR_SUCCESS) {
        child.helpers = NULL;
        apr_pool_destroy(pool); /* ends those that it could make */
    }
    return rv;
}

apr_status_t aigw_child_help(apr_thread_start_t fn, void *baton)
{
    apr_status_t rv = APR_SUCCESS;
    sigset_t before;

    if (!child.mutex) {
        return APR_EGENERAL;
    }
    aigw_signals_hold(&before);
    apr_thread_mutex_lock(child.mutex);
    if (!child.helpers) {
        rv = start_helpers();
    }
    apr_thread_mutex_unlock(child.mutex);
    if (rv == APR_SUCCESS) {
        rv = apr_thread_pool_push(child.helpers, fn, baton, APR_THREAD_TASK_PRIORITY_NORMAL, NULL);
    }
    aigw_signals_release(&before);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, child.server, "AIGW0151: no helper thread for a call without a client");
    }
    return rv;
}

/* GracefulShutdownTimeout has run out, or the parent was told to stop now. A child that is stopping gracefully ignores SIGTERM, and is killed some seconds later:
 * time enough to tell those in the middle of an answer. */
static void on_term(int sig, siginfo_t *info, void *context)
{
    if (info->si_pid != getpid()) { /* the event MPM's threads wake each other with it */
        apr_atomic_set32(&child.stopping, 1);
        aigw_reactor_end_soon();
    }
}

void aigw_child_stopping(apr_pool_t *pchild, int graceful)
{
    apr_atomic_set32(&child.leaving, 1);
    if (graceful) {
        struct sigaction act;

        memset(&act, 0, sizeof act);
        act.sa_sigaction = on_term;
        /* no SA_RESTART: a child that has had its MaxConnectionsPerChild wakes its main thread, which waits for word from the parent, with this signal */
        act.sa_flags = SA_SIGINFO;
        sigaction(SIGTERM, &act, NULL);
    }
    else {
        let_go();
        apr_atomic_set32(&child.stopping, 1);
        aigw_reactor_stop();
    }
}

int aigw_child_is_stopping(void)
{
    return apr_atomic_read32(&child.stopping);
}

/* Each of them can be late. The MPM's main thread says that the child runs when it has started the threads: on a busy machine one of these may have said by then that it is
 * stopping (MaxConnectionsPerChild 1), and that is lost. It is the listener itself then that has told us before it looks whether it can go. But where the main thread
 * stops the child, the listener may have gone before we are told. */
int aigw_child_is_leaving(void)
{
    int state = 0;

    return apr_atomic_read32(&child.leaving) || (ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING);
}
