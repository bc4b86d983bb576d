#include "redis_pool.h"
#include "aigw_clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define TELL_AGAIN apr_time_from_sec(10)

/* Three in a row are no accident; a stopped Redis costs them one command time-out each. Then it is back in service within 5 s of its return, and mostly sooner. */
static const aigw_breaker_limits_t limits = {
    .failures = 3, .backoff_min = apr_time_from_msec(250), .backoff_max = apr_time_from_sec(5), .probe_max = apr_time_from_sec(60)};

/* pthread's own: APR's conditions wait by the wall clock, which may be set. */
struct aigw_redis_pool_t {
    pthread_mutex_t mutex;
    pthread_cond_t given; /* a connection or a place, or there was a failure */
    const aigw_redis_t *redis;
    aigw_redis_addresses_t addresses;
    aigw_breaker_t breaker;
    aigw_redis_connection_t *waiting; /* that given back last first */
    int open;                         /* those that wait and those that are leased */
    apr_uint32_t failures;            /* so far */
    apr_time_t told;                  /* of a failure */
    int ended;
};

aigw_redis_pool_t *aigw_redis_pool_make(const aigw_redis_t *redis)
{
    aigw_redis_pool_t *pool = calloc(1, sizeof *pool);
    pthread_condattr_t attr;

    if (!pool) {
        return NULL;
    }
    pool->redis = redis;
    pool->addresses = redis->addresses;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->given, &attr);
    pthread_condattr_destroy(&attr);
    return pool;
}

static aigw_redis_connection_t *pop(aigw_redis_connection_t **list)
{
    aigw_redis_connection_t *first = *list;

    if (first) {
        *list = *aigw_redis_next(first);
    }
    return first;
}

/* Without the lock: a close may take its time. */
static void close_all(aigw_redis_connection_t *list)
{
    aigw_redis_connection_t *connection;

    while ((connection = pop(&list)) != NULL) {
        aigw_redis_close(connection);
    }
}

/* Those that wait, taken off; under the lock. */
static aigw_redis_connection_t *take_all(aigw_redis_pool_t *pool)
{
    aigw_redis_connection_t *all = pool->waiting, *c;

    for (c = all; c; c = *aigw_redis_next(c)) {
        pool->open--;
    }
    pool->waiting = NULL;
    return all;
}

/* Until a signal or this time; 0: the time is up. */
static int wait_until(aigw_redis_pool_t *pool, const struct timespec *until)
{
    return pthread_cond_timedwait(&pool->given, &pool->mutex, until) == 0;
}

static struct timespec from_now(apr_interval_time_t t)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)apr_time_sec(t);
    at.tv_nsec += (long)apr_time_usec(t) * 1000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* A connection or a place for one. Who waits while another fails would only fail after it: a command's time is then waited for once, not twice. */
static aigw_redis_lease_e take_connection(aigw_redis_pool_t *pool, aigw_redis_lease_t *lease)
{
    const struct timespec until = from_now(pool->redis->command_timeout);
    const apr_uint32_t failures = pool->failures;
    int late = 0;

    for (;;) {
        if (pool->ended) {
            return AIGW_REDIS_ENDED;
        }
        if (pool->failures != failures) {
            return AIGW_REDIS_AWAY;
        }
        if ((lease->connection = pop(&pool->waiting)) != NULL) {
            return AIGW_REDIS_LEASED;
        }
        if (pool->open < pool->redis->connections) {
            pool->open++;
            return AIGW_REDIS_LEASED;
        }
        if (late) {
            return AIGW_REDIS_BUSY;
        }
        late = !wait_until(pool, &until); /* and then looks once more: what woke it may have come at the same time */
    }
}

/* Under the lock. AIGW_REDIS_LEASED: there is a ticket, and no more yet. */
static aigw_redis_lease_e take_ticket(aigw_redis_pool_t *pool, aigw_redis_lease_t *lease)
{
    lease->connection = NULL;
    lease->ticket = pool->ended ? 0 : aigw_breaker_ticket(&pool->breaker, &limits, aigw_clock_now());
    if (!lease->ticket) {
        return pool->ended ? AIGW_REDIS_ENDED : AIGW_REDIS_AWAY;
    }
    if (pool->breaker.state == AIGW_BREAKER_PROBING) {
        pool->open++; /* one more than there may be, if need be */
        return AIGW_REDIS_PROBE;
    }
    return AIGW_REDIS_LEASED;
}

aigw_redis_lease_e aigw_redis_pool_take(aigw_redis_pool_t *pool, aigw_redis_lease_t *lease)
{
    aigw_redis_lease_e result;

    pthread_mutex_lock(&pool->mutex);
    result = take_ticket(pool, lease);
    if (result == AIGW_REDIS_LEASED) {
        result = take_connection(pool, lease);
    }
    pthread_mutex_unlock(&pool->mutex);
    return result;
}

aigw_redis_lease_e aigw_redis_pool_look(aigw_redis_pool_t *pool, aigw_redis_lease_t *lease)
{
    aigw_redis_lease_e result;

    pthread_mutex_lock(&pool->mutex);
    result = take_ticket(pool, lease);
    pthread_mutex_unlock(&pool->mutex);
    return result;
}

aigw_redis_news_t aigw_redis_pool_give(aigw_redis_pool_t *pool, const aigw_redis_lease_t *lease, aigw_breaker_result_e result)
{
    aigw_redis_connection_t *old = NULL;
    apr_time_t now = aigw_clock_now();
    aigw_redis_news_t news = {0};

    pthread_mutex_lock(&pool->mutex);
    if (lease->connection && !pool->ended && pool->open <= pool->redis->connections) {
        *aigw_redis_next(lease->connection) = pool->waiting;
        pool->waiting = lease->connection;
    }
    else {
        pool->open--;
        if (lease->connection) {
            *aigw_redis_next(lease->connection) = NULL;
            old = lease->connection;
        }
    }
    news.event = aigw_breaker_result(&pool->breaker, &limits, lease->ticket, result, now);
    news.time = news.event == AIGW_BREAKER_RECOVERED ? now - pool->breaker.since : pool->breaker.backoff;
    if (result == AIGW_BREAKER_FAILED) {
        news.first = pool->breaker.failures == 1 && (!pool->told || now - pool->told > TELL_AGAIN);
        pool->told = news.first ? now : pool->told;
        pool->failures++;
        old = take_all(pool); /* there is none of ours: what failed is closed */
        pthread_cond_broadcast(&pool->given);
    }
    else {
        pthread_cond_signal(&pool->given);
    }
    pthread_mutex_unlock(&pool->mutex);
    close_all(old);
    return news;
}

void aigw_redis_pool_drop(aigw_redis_pool_t *pool, int end)
{
    aigw_redis_connection_t *all;

    pthread_mutex_lock(&pool->mutex);
    all = take_all(pool);
    pool->ended |= end;
    pthread_cond_broadcast(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
    close_all(all);
}

void aigw_redis_pool_addresses(aigw_redis_pool_t *pool, aigw_redis_addresses_t *addresses)
{
    pthread_mutex_lock(&pool->mutex);
    *addresses = pool->addresses;
    pthread_mutex_unlock(&pool->mutex);
}

void aigw_redis_pool_set_addresses(aigw_redis_pool_t *pool, const aigw_redis_addresses_t *addresses)
{
    pthread_mutex_lock(&pool->mutex);
    pool->addresses = *addresses;
    pthread_mutex_unlock(&pool->mutex);
}
