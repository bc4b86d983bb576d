/* Tasks in Redis: what those ask who run them. */
#include "store_redis.h"
#include "aigw_clock.h"
#include "aigw_signals.h"

#include <apr_atomic.h>
#include <apr_strings.h>

#define AT_ONCE    100               /* tasks in one step */
#define ENDS_BYTES (8 * 1024 * 1024) /* of results in one step, and one more */

AIGW_STORE_REDIS_SCRIPT(claim_script, AIGW_REDIS_CLAIM_LUA);
AIGW_STORE_REDIS_SCRIPT(run_script, AIGW_REDIS_RUN_LUA);
AIGW_STORE_REDIS_SCRIPT(sweep_script, AIGW_REDIS_SWEEP_LUA);
AIGW_STORE_REDIS_SCRIPT(callback_script, AIGW_REDIS_CALLBACK_LUA);

static apr_status_t again(apr_status_t rv)
{
    return rv == APR_TIMEUP ? APR_EAGAIN : rv;
}

/* ------------------------------------------------------------------ claims whose answer was lost */

/* The claim may have been done, or is done yet: then these tasks would run nowhere until their leases are over, and have an attempt less. So the next claims ask for them by its name. */
static void remember(aigw_store_redis_t *self, const char *name, apr_interval_time_t lease)
{
    aigw_store_redis_lost_t *lost;
    sigset_t before;

    aigw_signals_hold(&before);
    pthread_mutex_lock(&self->mutex);
    lost = &self->lost[self->next_lost];
    self->next_lost = (self->next_lost + 1) % AIGW_STORE_REDIS_LOST;
    apr_cpystrn(lost->name, name, sizeof lost->name);
    lost->until = aigw_clock_now() + lease;
    pthread_mutex_unlock(&self->mutex);
    aigw_signals_release(&before);
}

static void add_lost(aigw_store_redis_t *self, aigw_store_redis_args_t *args, const char *holder)
{
    const apr_time_t now = aigw_clock_now();
    const apr_size_t len = strlen(holder);
    sigset_t before;
    int i;

    aigw_signals_hold(&before);
    pthread_mutex_lock(&self->mutex);
    for (i = 0; i < AIGW_STORE_REDIS_LOST; i++) {
        if (self->lost[i].until > now && !strncmp(self->lost[i].name, holder, len) && self->lost[i].name[len] == ':') {
            aigw_store_redis_add(args, apr_pstrdup(args->p, self->lost[i].name));
        }
    }
    pthread_mutex_unlock(&self->mutex);
    aigw_signals_release(&before);
}

/* ------------------------------------------------------------------ claim */

/* The sweeper looks at no task that was heard of within the shortest lease. */
static void note_lease(aigw_store_redis_t *self, apr_interval_time_t lease)
{
    const apr_int64_t ms = lease / 1000;
    const apr_uint32_t now = ms < 1 ? 1 : ms > APR_UINT32_MAX ? APR_UINT32_MAX : (apr_uint32_t)ms;
    const apr_uint32_t before = apr_atomic_read32(&self->idle);

    if (!before || now < before) { /* two at once: one of them is noted the next time */
        apr_atomic_set32(&self->idle, now);
    }
}

static apr_status_t take(aigw_store_redis_t *self, const aigw_redis_reply_t *reply, apr_pool_t *p, const char *holder, int max,
                         const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n)
{
    const aigw_redis_reply_t *found = &reply->elements[1];
    int i;

    if (reply->count != 2 || found->kind != AIGW_REDIS_ARRAY || found->count > max) {
        return aigw_store_redis_odd(self);
    }
    for (i = 0; i < found->count; i++) {
        const aigw_redis_reply_t *fields = &found->elements[i];

        if (!(tasks[*n] = aigw_store_redis_task(fields, p)) || fields->count != AIGW_STORE_REDIS_FIELDS) {
            return aigw_store_redis_odd(self);
        }
        leases[*n].id = tasks[*n]->id;
        leases[*n].holder = holder;
        leases[*n].number = tasks[*n]->claims;
        ++*n;
    }
    return APR_SUCCESS;
}

static apr_status_t claim_some(aigw_store_redis_t *self, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                               const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n, int *more)
{
    const char *name = apr_psprintf(p, "%s:%u", holder, (unsigned)apr_atomic_inc32(&self->claims));
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 4 + AIGW_STORE_REDIS_LOST);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    const int before = *n;

    aigw_store_redis_add(&args, holder);
    aigw_store_redis_add_int(&args, max);
    aigw_store_redis_add_int(&args, lease);
    aigw_store_redis_add(&args, name);
    add_lost(self, &args, holder);
    rv = aigw_store_redis_ask(self, &claim_script, &args, &reply);
    if (rv == APR_TIMEUP) {
        remember(self, name, lease);
    }
    if (rv == APR_SUCCESS) {
        rv = take(self, reply, p, holder, max, tasks + before, leases + before, n);
    }
    *more = rv == APR_SUCCESS && (*n - before == max || aigw_store_redis_int(&reply->elements[0]));
    return rv;
}

apr_status_t aigw_store_redis_claim(aigw_store_t *store, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                                    const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    apr_status_t rv = APR_SUCCESS;
    int more = 1;

    *n = 0;
    note_lease(self, lease);
    while (rv == APR_SUCCESS && more && *n < max) {
        int some = 0;

        rv = claim_some(self, p, holder, max - *n < AT_ONCE ? max - *n : AT_ONCE, lease, tasks + *n, leases + *n, &some, &more);
        *n += some;
    }
    return *n ? APR_SUCCESS : again(rv); /* what is claimed is to be run */
}

/* ------------------------------------------------------------------ signs of life, and the end */

static void add_lease(aigw_store_redis_args_t *args, const aigw_task_lease_t *lease)
{
    aigw_store_redis_add(args, lease->id);
    aigw_store_redis_add(args, lease->holder);
    aigw_store_redis_add_int(args, lease->number);
}

/* As many integers as there should be. */
static apr_status_t ask_run(aigw_store_redis_t *self, const aigw_store_redis_args_t *args, int n, const aigw_redis_reply_t **reply)
{
    const apr_status_t rv = aigw_store_redis_ask(self, &run_script, args, reply);

    return rv == APR_SUCCESS && (*reply)->count != n ? aigw_store_redis_odd(self) : again(rv);
}

static apr_status_t beat_some(aigw_store_redis_t *self, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease)
{
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 2 + 5 * n);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    int i;

    aigw_store_redis_add(&args, "beat");
    aigw_store_redis_add_int(&args, lease);
    for (i = 0; i < n; i++) {
        add_lease(&args, &beats[i].lease);
        aigw_store_redis_add(&args, apr_psprintf(p, "%.9f", beats[i].progress));
        aigw_store_redis_add_int(&args, beats[i].tokens);
    }
    rv = ask_run(self, &args, n, &reply);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        const apr_int64_t said = aigw_store_redis_int(&reply->elements[i]);

        beats[i].lost = said == 0;
        beats[i].cancelling = said == 2;
    }
    return rv;
}

apr_status_t aigw_store_redis_beat(aigw_store_t *store, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    note_lease((aigw_store_redis_t *)store, lease);
    for (i = 0; rv == APR_SUCCESS && i < n; i += AT_ONCE) {
        rv = beat_some((aigw_store_redis_t *)store, p, beats + i, n - i < AT_ONCE ? n - i : AT_ONCE, lease);
    }
    return rv;
}

static void add_end(aigw_store_redis_args_t *args, const aigw_task_end_t *end)
{
    add_lease(args, &end->lease);
    aigw_store_redis_add_int(args, end->state);
    aigw_store_redis_add(args, apr_psprintf(args->p, "%d%d%d", end->result != NULL, end->error != NULL, end->usage != NULL));
    aigw_store_redis_add(args, end->result);
    aigw_store_redis_add(args, end->error);
    aigw_store_redis_add(args, end->usage);
    aigw_store_redis_add_int(args, end->tokens);
    aigw_store_redis_add_int(args, end->delay);
}

/* How many of them go in one step: 0: the first is too large for Redis. */
static int portion(const aigw_task_end_t *ends, int n)
{
    apr_size_t bytes = 0, len;
    int i;

    for (i = 0; i < n && i < AT_ONCE && bytes < ENDS_BYTES; i++) {
        len = ends[i].result ? strlen(ends[i].result) : 0;
        if (len > AIGW_STORE_REDIS_VALUE) {
            break;
        }
        bytes += len;
    }
    return i;
}

static apr_status_t end_some(aigw_store_redis_t *self, apr_pool_t *p, aigw_task_end_t *ends, int n)
{
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 1 + 10 * n);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    int i;

    aigw_store_redis_add(&args, "end");
    for (i = 0; i < n; i++) {
        add_end(&args, &ends[i]);
    }
    rv = ask_run(self, &args, n, &reply);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        ends[i].lost = !aigw_store_redis_int(&reply->elements[i]);
    }
    return rv;
}

apr_status_t aigw_store_redis_end(aigw_store_t *store, apr_pool_t *p, aigw_task_end_t *ends, int n)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    apr_status_t rv = APR_SUCCESS;
    int i, some;

    for (i = 0; rv == APR_SUCCESS && i < n; i += some) {
        some = portion(ends + i, n - i);
        rv = some ? end_some(self, p, ends + i, some) : aigw_store_redis_too_large(self, "result", strlen(ends[i].result));
    }
    return rv;
}

/* ------------------------------------------------------------------ sweep */

/* All that run are looked through, in as many steps as it takes; of the rest some. */
apr_status_t aigw_store_redis_sweep(aigw_store_t *store, apr_pool_t *p, int attempts, const char *error, int *more)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    const char *cursor = "0-0";
    apr_status_t rv;

    *more = 0;
    do {
        aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 4);
        const aigw_redis_reply_t *reply;

        aigw_store_redis_add_int(&args, attempts);
        aigw_store_redis_add(&args, error);
        aigw_store_redis_add_int(&args, apr_atomic_read32(&self->idle));
        aigw_store_redis_add(&args, cursor);
        if ((rv = aigw_store_redis_ask(self, &sweep_script, &args, &reply)) != APR_SUCCESS) {
            return again(rv);
        }
        if (reply->count != 2 || !(cursor = aigw_store_redis_text(&reply->elements[1]))) {
            return aigw_store_redis_odd(self);
        }
        *more |= aigw_store_redis_int(&reply->elements[0]) == 1;
    } while (strcmp(cursor, "0-0"));
    return APR_SUCCESS;
}

/* ------------------------------------------------------------------ callbacks */

static int read_callback(const aigw_redis_reply_t *fields, aigw_callback_t *callback)
{
    if (fields->kind != AIGW_REDIS_ARRAY || fields->count != 6) {
        return 0;
    }
    callback->task = aigw_store_redis_text(&fields->elements[0]);
    callback->id = aigw_store_redis_text(&fields->elements[1]);
    callback->url = aigw_store_redis_text(&fields->elements[2]);
    callback->attempts = (int)aigw_store_redis_int(&fields->elements[3]);
    callback->first = aigw_store_redis_int(&fields->elements[4]);
    callback->lease = aigw_store_redis_int(&fields->elements[5]);
    return callback->task && callback->id && callback->url;
}

apr_status_t aigw_store_redis_callback_claim(aigw_store_t *store, apr_pool_t *p, int max, apr_interval_time_t lease,
                                             aigw_callback_t *callbacks, int *n)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 3);
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    int i;

    *n = 0;
    aigw_store_redis_add(&args, "claim");
    aigw_store_redis_add_int(&args, max < AT_ONCE ? max : AT_ONCE);
    aigw_store_redis_add_int(&args, lease);
    if ((rv = aigw_store_redis_ask(self, &callback_script, &args, &reply)) != APR_SUCCESS) {
        return again(rv);
    }
    for (i = 0; i < reply->count && i < max; i++) {
        if (!read_callback(&reply->elements[i], &callbacks[(*n)++])) {
            return aigw_store_redis_odd(self);
        }
    }
    return APR_SUCCESS;
}

apr_status_t aigw_store_redis_callback_tried(aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next)
{
    aigw_store_redis_t *self = (aigw_store_redis_t *)store;
    aigw_store_redis_args_t args = aigw_store_redis_args(self, p, 4);
    const aigw_redis_reply_t *reply;

    aigw_store_redis_add(&args, "tried");
    aigw_store_redis_add(&args, callback->task);
    aigw_store_redis_add_int(&args, callback->lease);
    aigw_store_redis_add_int(&args, next);
    return again(aigw_store_redis_ask(self, &callback_script, &args, &reply));
}
