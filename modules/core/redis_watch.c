#include "redis_watch.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_log.h>
#include <http_main.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

APLOG_USE_MODULE(aigw);

#define EVERY apr_time_from_msec(100) /* when to try is the breaker's business */

static struct {
    apr_pool_t *pool;
    server_rec *server;
    int (*look)(void);
    apr_thread_mutex_t *mutex; /* of all below; NULL: there is no watch */
    apr_thread_cond_t *news;
    apr_thread_t *thread;
    int away, ending;
} watch;

static void *APR_THREAD_FUNC watch_main(apr_thread_t *thread, void *data)
{
    apr_thread_mutex_lock(watch.mutex);
    while (!watch.ending) {
        if (!watch.away) {
            apr_thread_cond_wait(watch.news, watch.mutex);
            continue;
        }
        apr_thread_cond_timedwait(watch.news, watch.mutex, EVERY);
        if (!watch.ending) {
            watch.away = 0; /* who finds it away meanwhile says so again */
            apr_thread_mutex_unlock(watch.mutex);
            if (watch.look()) {
                apr_thread_mutex_lock(watch.mutex);
                watch.away = 1;
            }
            else {
                apr_thread_mutex_lock(watch.mutex);
            }
        }
    }
    apr_thread_mutex_unlock(watch.mutex);
    return NULL;
}

static apr_status_t end(void *data)
{
    apr_status_t rv;

    apr_thread_mutex_lock(watch.mutex);
    watch.ending = 1;
    apr_thread_cond_signal(watch.news);
    apr_thread_mutex_unlock(watch.mutex);
    if (watch.thread) {
        apr_thread_join(&rv, watch.thread);
    }
    return APR_SUCCESS;
}

void aigw_redis_watch_init(apr_pool_t *pchild, server_rec *main_server, int (*look)(void))
{
    watch.pool = aigw_own_pool(pchild);
    watch.server = main_server;
    watch.look = look;
    if (!watch.pool || apr_thread_cond_create(&watch.news, watch.pool) != APR_SUCCESS ||
        apr_thread_mutex_create(&watch.mutex, APR_THREAD_MUTEX_DEFAULT, watch.pool) != APR_SUCCESS) {
        watch.mutex = NULL; /* then those who ask find out */
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, end);
}

void aigw_redis_watch(void)
{
    apr_status_t rv = APR_SUCCESS;

    if (!watch.mutex) {
        return;
    }
    apr_thread_mutex_lock(watch.mutex);
    watch.away = 1;
    if (!watch.thread && !watch.ending) {
        rv = ap_thread_create(&watch.thread, NULL, watch_main, NULL, watch.pool);
    }
    apr_thread_cond_signal(watch.news);
    apr_thread_mutex_unlock(watch.mutex);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, watch.server,
                     "AIGW0108: no thread to see whether Redis is back: who asks for something finds out");
    }
}
