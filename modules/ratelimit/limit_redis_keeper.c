#include "limit_redis_keeper.h"
#include "aigw_clock.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <pthread.h>
#include <stdlib.h>

APLOG_USE_MODULE(aigw_ratelimit);

#define BUCKETS     256                    /* of the table of what is held open; a power of two */
#define WAITING_MAX 20000                  /* settlements that wait for Redis, some 200 bytes each */
#define AGAIN_AFTER (APR_USEC_PER_SEC / 4) /* where Redis did not answer */
#define DRAIN_MAX   (2 * APR_USEC_PER_SEC) /* what a child that goes spends on it */
#define RANDOM      16                     /* bytes of a child's name */

static struct {
    apr_pool_t *pool; /* of the thread; NULL: not in use */
    server_rec *server;
    apr_thread_t *thread;
    apr_interval_time_t lease;
    char name[25];                    /* of this child: 128 random bits in base64, without its padding */
    pthread_mutex_t mutex;            /* of all below. Whoever takes it holds signals (aigw_signals.h) */
    pthread_cond_t wake;              /* there is something to send, or the end */
    apr_uint64_t number;              /* the last that was given */
    aigw_limit_held_t *live[BUCKETS]; /* by number */
    aigw_limit_held_t *first, **last; /* what is to be settled; *last is NULL */
    int waiting;                      /* of these */
    apr_uint32_t dropped;             /* since Redis did not answer */
    int ends, ended;
} keeper = {.mutex = PTHREAD_MUTEX_INITIALIZER, .last = &keeper.first};

static void lock(sigset_t *before)
{
    aigw_signals_hold(before);
    pthread_mutex_lock(&keeper.mutex);
}

static void unlock(const sigset_t *before)
{
    pthread_mutex_unlock(&keeper.mutex);
    aigw_signals_release(before);
}

/* ------------------------------------------------------------------ the list of what is to be settled; under the lock */

static void append(aigw_limit_held_t *held)
{
    held->next = NULL;
    *keeper.last = held;
    keeper.last = &held->next;
    keeper.waiting++;
}

static aigw_limit_held_t *shift(void)
{
    aigw_limit_held_t *held = keeper.first;

    if (held && !(keeper.first = held->next)) {
        keeper.last = &keeper.first;
    }
    keeper.waiting -= held != NULL;
    return held;
}

static void put_back(aigw_limit_held_t *held)
{
    if (!(held->next = keeper.first)) {
        keeper.last = &held->next;
    }
    keeper.first = held;
    keeper.waiting++;
}

/* The oldest go. Returns 1 for the first of them. */
static int bound(void)
{
    const apr_uint32_t before = keeper.dropped;

    while (keeper.waiting > WAITING_MAX) {
        free(shift());
        keeper.dropped++;
    }
    return !before && keeper.dropped;
}

/* Once, until Redis is told again. */
static void tell_dropped(void)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, keeper.server,
                 "AIGW0433: Redis is away for so long that it cannot be told of all calls how they have ended: the oldest are dropped");
}

/* ------------------------------------------------------------------ the thread: settling */

/* Whether nothing was done: then it can be asked again without counting twice. */
static int was_not_done(apr_status_t rv)
{
    return APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_ECONNREFUSED(rv);
}

/* One that is held open can be settled again: its reservation tells whether it was already. Of others nobody knows. */
static int may_be_repeated(aigw_limit_held_t *held, apr_status_t rv)
{
    if (!was_not_done(rv)) {
        held->maybe = 1;
    }
    return held->number != 0 || was_not_done(rv);
}

static void after_failure(aigw_limit_held_t **batch, int n, apr_status_t rv)
{
    sigset_t before;
    int first;

    lock(&before);
    while (n-- > 0) {
        if (may_be_repeated(batch[n], rv)) {
            put_back(batch[n]);
        }
        else {
            free(batch[n]);
        }
    }
    first = bound(); /* others have come meanwhile */
    unlock(&before);
    if (first) {
        tell_dropped();
    }
}

static void after_success(aigw_limit_held_t **batch, int n)
{
    apr_uint32_t dropped;
    sigset_t before;

    while (n-- > 0) {
        free(batch[n]);
    }
    lock(&before);
    dropped = keeper.dropped;
    keeper.dropped = 0;
    unlock(&before);
    if (dropped) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, keeper.server,
                     "AIGW0434: Redis is told again how calls have ended; of %u it never will be", dropped);
    }
}

/* Sends the oldest. 1: there may be more; 0: there are none; -1: Redis does not answer. */
static int settle_some(apr_pool_t *p)
{
    aigw_limit_held_t *batch[AIGW_LIMIT_REDIS_BATCH];
    apr_status_t rv;
    sigset_t before;
    int n = 0;

    lock(&before);
    while (n < AIGW_LIMIT_REDIS_BATCH && (batch[n] = shift()) != NULL) {
        n++;
    }
    unlock(&before);
    if (!n) {
        return 0;
    }
    rv = aigw_limit_redis_settle(batch, n, p);
    apr_pool_clear(p);
    if (rv != APR_SUCCESS) {
        after_failure(batch, n, rv);
        return -1;
    }
    after_success(batch, n);
    return 1;
}

/* ------------------------------------------------------------------ the thread: renewing */

/* Copies of what is held open, from there on: others may be settled meanwhile. at: the bucket to go on with; a bucket that does not fit into a batch is split by number. */
static int copy_live(aigw_limit_held_t *copies, int *at, apr_uint64_t *above)
{
    const aigw_limit_held_t *held;
    sigset_t before;
    int n = 0;

    lock(&before);
    for (; *at < BUCKETS && n < AIGW_LIMIT_REDIS_BATCH; (*at)++, *above = 0) {
        /* newest first: the numbers go down */
        for (held = keeper.live[*at]; held && n < AIGW_LIMIT_REDIS_BATCH; held = held->next) {
            if (!*above || held->number < *above) {
                copies[n++] = *held;
            }
        }
        if (held) {
            *above = copies[n - 1].number;
            break;
        }
    }
    unlock(&before);
    return n;
}

/* 0, or -1: Redis does not answer. */
static int renew_all(apr_pool_t *p)
{
    aigw_limit_held_t copies[AIGW_LIMIT_REDIS_BATCH], *batch[AIGW_LIMIT_REDIS_BATCH];
    apr_status_t rv = APR_SUCCESS;
    apr_uint64_t above = 0;
    int at = 0, n, i;

    for (i = 0; i < AIGW_LIMIT_REDIS_BATCH; i++) {
        batch[i] = &copies[i];
    }
    while (rv == APR_SUCCESS && (n = copy_live(copies, &at, &above)) > 0) {
        rv = aigw_limit_redis_renew(batch, n, keeper.lease, p);
        apr_pool_clear(p);
    }
    return rv == APR_SUCCESS ? 0 : -1;
}

/* ------------------------------------------------------------------ the thread */

/* Until there is something to send, or that time. 1: it is the end. */
static int wait_until(apr_time_t until, int may_send)
{
    struct timespec at = {apr_time_sec(until), (long)apr_time_usec(until) * 1000};
    sigset_t before;
    int ends, rc = 0;

    lock(&before);
    while (!keeper.ends && !(may_send && keeper.first) && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&keeper.wake, &keeper.mutex, &at);
    }
    ends = keeper.ends;
    unlock(&before);
    return ends;
}

/* What is still held open belongs to requests that are cut (prefork's signal). */
static void give_up_live(void)
{
    aigw_limit_held_t *held;
    sigset_t before;
    int i;

    lock(&before);
    for (i = 0; i < BUCKETS; i++) {
        while ((held = keeper.live[i]) != NULL) {
            keeper.live[i] = held->next;
            held->actual = 0;
            append(held);
        }
    }
    unlock(&before);
}

/* Nobody comes after this: they go another way then. */
static int end(void)
{
    sigset_t before;
    int waiting;

    lock(&before);
    keeper.ended = 1;
    waiting = keeper.waiting;
    unlock(&before);
    return waiting;
}

static void drain(apr_pool_t *p)
{
    const apr_time_t until = aigw_clock_now() + DRAIN_MAX;
    int more;

    give_up_live();
    while ((more = settle_some(p)) > 0 && aigw_clock_now() < until) {
    }
    if (end() && more >= 0) {
        more = settle_some(p);
    }
    if (keeper.waiting) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, keeper.server,
                     "AIGW0435: this child goes, and Redis was not told how %d calls have ended: what they have reserved expires",
                     keeper.waiting);
    }
}

static void *APR_THREAD_FUNC keeper_main(apr_thread_t *thread, void *data)
{
    const apr_interval_time_t renew_every = keeper.lease / 3;
    apr_time_t now = aigw_clock_now(), renew_at = now + renew_every, send_at = 0;
    apr_pool_t *p;

    apr_pool_create(&p, keeper.pool);
    while (!wait_until(send_at > now && send_at < renew_at ? send_at : renew_at, send_at <= now)) {
        now = aigw_clock_now();
        if (now >= renew_at) {
            renew_at = now + (renew_all(p) == 0 ? renew_every : AGAIN_AFTER < renew_every ? AGAIN_AFTER : renew_every);
        }
        if (now >= send_at) {
            send_at = settle_some(p) < 0 ? now + AGAIN_AFTER : 0;
        }
    }
    drain(p);
    return NULL;
}

/* ------------------------------------------------------------------ its life */

/* The child's pool is going, and the core's threads are gone (it is registered before theirs is, so it comes after it): all calls are over. */
static apr_status_t end_thread(void *dummy)
{
    apr_status_t rv;
    sigset_t before;

    lock(&before);
    keeper.ends = 1;
    keeper.ended = !keeper.thread;
    pthread_cond_signal(&keeper.wake);
    unlock(&before);
    if (keeper.thread) {
        apr_thread_join(&rv, keeper.thread);
        keeper.thread = NULL;
    }
    return APR_SUCCESS;
}

/* Under the lock. Where there is no thread things wait: the next one tries again. */
static void start(void)
{
    sigset_t all, before;
    apr_status_t rv;

    if (keeper.thread || keeper.ends) {
        return;
    }
    sigfillset(&all); /* signals are for httpd's own threads */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    rv = ap_thread_create(&keeper.thread, NULL, keeper_main, NULL, keeper.pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != APR_SUCCESS) {
        keeper.thread = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, keeper.server,
                     "AIGW0436: no thread for limits in Redis in this child: reservations expire");
    }
}

void aigw_limit_redis_keeper_child_init(apr_pool_t *pchild, server_rec *main_server, apr_interval_time_t lease)
{
    unsigned char random[RANDOM];
    pthread_condattr_t attr;

    if (RAND_bytes(random, RANDOM) != 1) {
        apr_generate_random_bytes(random, RANDOM);
    }
    EVP_EncodeBlock((unsigned char *)keeper.name, random, RANDOM);
    keeper.name[22] = '\0';
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* that of aigw_clock_now() */
    pthread_cond_init(&keeper.wake, &attr);
    pthread_condattr_destroy(&attr);
    keeper.lease = lease;
    keeper.server = main_server;
    keeper.pool = aigw_own_pool(pchild);
    apr_pool_pre_cleanup_register(pchild, NULL, end_thread);
}

/* ------------------------------------------------------------------ for those who decide and settle */

apr_uint64_t aigw_limit_redis_keeper_name(char id[AIGW_LIMIT_REDIS_ID], int count)
{
    apr_uint64_t first;
    sigset_t before;

    lock(&before);
    first = keeper.number + 1;
    keeper.number += (apr_uint64_t)count;
    unlock(&before);
    apr_snprintf(id, AIGW_LIMIT_REDIS_ID, "%s.%" APR_UINT64_T_HEX_FMT, keeper.name, first);
    return first;
}

void aigw_limit_redis_keeper_hold(aigw_limit_held_t *held)
{
    aigw_limit_held_t **at = &keeper.live[held->number % BUCKETS];
    sigset_t before;

    lock(&before);
    while (*at && (*at)->number > held->number) { /* newest first; hardly ever a step */
        at = &(*at)->next;
    }
    held->next = *at;
    *at = held;
    start();
    unlock(&before);
}

aigw_limit_held_t *aigw_limit_redis_keeper_take(apr_uint64_t number)
{
    aigw_limit_held_t **at = &keeper.live[number % BUCKETS], *held;
    sigset_t before;

    lock(&before);
    while (*at && (*at)->number != number) {
        at = &(*at)->next;
    }
    held = *at;
    if (held) {
        *at = held->next;
    }
    unlock(&before);
    return held;
}

void aigw_limit_redis_keeper_settle(aigw_limit_held_t *held)
{
    int complain = 0;
    sigset_t before;

    lock(&before);
    if (keeper.ended) { /* nobody is left who would come after the child's threads */
        free(held);
    }
    else {
        append(held);
        complain = bound();
        start();
        pthread_cond_signal(&keeper.wake);
    }
    unlock(&before);
    if (complain) {
        tell_dropped();
    }
}
