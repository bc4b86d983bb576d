#include "task_callback.h"
#include "task_callback_send.h"
#include "aigw_own_pool.h"
#include "aigw_pin.h"

#include <http_log.h>
#include <http_main.h>
#include <apr_atomic.h>
#include <apr_ring.h>
#include <apr_strings.h>

#include <signal.h>

APLOG_USE_MODULE(aigw_tasks);

#define LOOK        apr_time_from_sec(1) /* when what has become due is looked for, and what other children have left */
#define CLAIM       32                   /* at a time */
#define HELD_MAX    128                  /* claimed, and waiting or on their way */
#define FLYING_MAX  32                   /* on their way */
#define HOST_FLYING 4                    /* of one origin: one that is slow does not hold up the others */
#define HOST_HELD   32
#define BYTES_MAX   (16 * 1024 * 1024)   /* of their bodies: when there are so many no other one begins */
#define SLACK       apr_time_from_sec(5) /* of a lease, for the store */

/* One that was claimed here. malloc'ed, with its strings. */
typedef struct item_t {
    APR_RING_ENTRY(item_t) link; /* of one ring */
    aigw_callback_t callback;
    const char *origin;         /* "": its URL may not be called any more */
    apr_time_t claimed;         /* by aigw_clock_now() */
    aigw_callback_send_t *send; /* in flying */
    apr_interval_time_t next;   /* in tried: for callback_tried() */
    char text[];
} item_t;

APR_RING_HEAD(items_t, item_t);

/* All but woken and the flags is the thread's own. */
static struct {
    apr_pool_t *pool;
    server_rec *server;
    const aigw_callback_conf_t *conf;
    const aigw_store_vt *vt;
    aigw_store_t *store;
    apr_thread_t *thread;
    CURLM *multi;
    struct items_t waiting, flying, tried; /* tried: the store is to be told */
    int nheld, nflying;
    apr_size_t bytes; /* of those that fly */
    int more;         /* the last claim was as many as it could be */
    volatile apr_uint32_t woken, ends;
} sender;

/* ------------------------------------------------------------------ one of them */

/* One moves from ring to ring, and is in one always. */
static void move(item_t *item, struct items_t *to)
{
    APR_RING_REMOVE(item, link);
    APR_RING_INSERT_TAIL(to, item, item_t, link);
}

static void forget(item_t *item)
{
    APR_RING_REMOVE(item, link);
    sender.nheld--;
    free(item);
}

static apr_interval_time_t lease(void)
{
    return 2 * sender.conf->timeout + SLACK; /* one time-out for waiting here, one for the try */
}

/* The store is to be told that it is over (0), or to be done later. */
static void settle(item_t *item, apr_interval_time_t next)
{
    item->next = next;
    move(item, &sender.tried);
}

static apr_interval_time_t pause_of(const item_t *item, apr_interval_time_t at_least)
{
    apr_uint32_t random = 0;

    apr_generate_random_bytes((unsigned char *)&random, sizeof random);
    return aigw_backoff_next(&sender.conf->retry, item->callback.attempts, apr_time_now() - item->callback.first, at_least, random);
}

static void give_up(item_t *item, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, sender.server,
                 "AIGW0615: callback of task %s to %s: given up after %" APR_TIME_T_FMT " s, %d times claimed: %s", item->callback.task,
                 item->origin, apr_time_sec(apr_time_now() - item->callback.first), item->callback.attempts, why);
    settle(item, 0);
}

/* It did not arrive. */
static void failed(item_t *item, const char *why, apr_interval_time_t at_least)
{
    const apr_interval_time_t next = pause_of(item, at_least);

    if (!next) {
        give_up(item, why);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, sender.server, "AIGW0614: callback of task %s to %s: %s; again in %" APR_TIME_T_FMT " ms",
                 item->callback.task, item->origin, why, apr_time_as_msec(next));
    settle(item, next);
}

/* It was not tried, for too many others go the same way. */
static void hand_back(item_t *item)
{
    const apr_interval_time_t next = pause_of(item, 0);

    if (next) {
        settle(item, next);
    }
    else {
        give_up(item, "the receiver is so slow that its turn did not come");
    }
}

/* ------------------------------------------------------------------ claiming */

static int count(const struct items_t *ring, const char *origin)
{
    const item_t *item;
    int n = 0;

    for (item = APR_RING_FIRST(ring); item != APR_RING_SENTINEL(ring, item_t, link); item = APR_RING_NEXT(item, link)) {
        n += !strcmp(item->origin, origin);
    }
    return n;
}

static char *put(char **at, const char *text)
{
    char *copy = *at;

    *at = apr_cpystrn(copy, text, strlen(text) + 1) + 1;
    return copy;
}

/* What it was when it was made it need not be any more: the list is asked again. */
static const char *allowed_origin(apr_pool_t *p, const char *text)
{
    aigw_callback_url_t url;

    return !aigw_callback_url_read(p, text, &url) && aigw_callback_list_has(&sender.conf->allow, &url) ? url.origin : NULL;
}

static void take(apr_pool_t *p, const aigw_callback_t *callback, apr_time_t now)
{
    const char *origin = allowed_origin(p, callback->url), *shown = origin ? origin : "a host";
    item_t *item = calloc(1, sizeof *item + strlen(callback->task) + strlen(callback->id) + strlen(callback->url) + strlen(shown) + 4);
    char *at;

    if (!item) {
        return; /* its lease runs out */
    }
    at = item->text;
    item->callback = *callback;
    item->callback.task = put(&at, callback->task);
    item->callback.id = put(&at, callback->id);
    item->callback.url = put(&at, callback->url);
    item->origin = put(&at, shown);
    item->claimed = now;
    APR_RING_ELEM_INIT(item, link);
    APR_RING_INSERT_TAIL(&sender.waiting, item, item_t, link);
    sender.nheld++;
    if (!origin) {
        failed(item, "AIGWCallbackAllow does not name it any more", 0);
    }
    else if (count(&sender.waiting, origin) + count(&sender.flying, origin) > HOST_HELD) {
        hand_back(item);
    }
}

/* What the store could not be told yet comes first. */
static int may_claim(void)
{
    return sender.nheld < HELD_MAX && APR_RING_EMPTY(&sender.tried, item_t, link);
}

static void claim(apr_pool_t *p)
{
    const int room = HELD_MAX - sender.nheld < CLAIM ? HELD_MAX - sender.nheld : CLAIM;
    const apr_time_t now = aigw_clock_now();
    aigw_callback_t due[CLAIM];
    int i, n = 0;

    sender.more = sender.vt->callback_claim(sender.store, p, room, lease(), due, &n) == APR_SUCCESS && n == room;
    for (i = 0; i < n; i++) {
        take(p, &due[i], now);
    }
    apr_pool_clear(p);
}

/* ------------------------------------------------------------------ sending */

/* 0: the store is away. */
static int depart(item_t *item, apr_pool_t *p)
{
    aigw_callback_url_t url;
    apr_size_t len = 0;
    char *body = NULL;
    const apr_status_t rv = aigw_task_callback_body(sender.vt, sender.store, p, &item->callback, &body, &len);

    if (rv == APR_EAGAIN) {
        return 0;
    }
    if (rv == APR_SUCCESS && !aigw_callback_url_read(p, item->callback.url, &url)) {
        item->send = aigw_callback_send_begin(sender.multi, p, sender.conf, &url, item->callback.id, body, len, item);
    }
    if (!item->send) {
        failed(item, "out of memory", 0);
        return 1;
    }
    sender.nflying++;
    sender.bytes += len;
    move(item, &sender.flying);
    return 1;
}

static void start(apr_pool_t *p)
{
    const apr_time_t now = aigw_clock_now();
    item_t *item, *next;
    int there = 1;

    for (item = APR_RING_FIRST(&sender.waiting); item != APR_RING_SENTINEL(&sender.waiting, item_t, link); item = next) {
        next = APR_RING_NEXT(item, link);
        if (now - item->claimed > sender.conf->timeout) {
            hand_back(item);
        }
        else if (there && sender.nflying < FLYING_MAX && sender.bytes < BYTES_MAX && count(&sender.flying, item->origin) < HOST_FLYING) {
            there = depart(item, p);
            apr_pool_clear(p);
        }
    }
}

static void stop_flying(item_t *item)
{
    sender.nflying--;
    sender.bytes -= aigw_callback_send_size(item->send);
    aigw_callback_send_free(item->send, sender.multi);
    item->send = NULL;
}

static void land(item_t *item, CURLcode code)
{
    apr_interval_time_t retry_after;
    const char *why;

    switch (aigw_callback_send_result(item->send, code, &why, &retry_after)) {
    case AIGW_CALLBACK_ARRIVED:
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, sender.server, "AIGW0616: callback of task %s to %s: arrived", item->callback.task,
                     item->origin);
        settle(item, 0);
        break;
    case AIGW_CALLBACK_UNWANTED:
        give_up(item, why);
        break;
    default:
        failed(item, why, retry_after);
        break;
    }
    stop_flying(item);
}

static void land_all(void)
{
    CURLMsg *message;
    int running, left;

    curl_multi_perform(sender.multi, &running);
    while ((message = curl_multi_info_read(sender.multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            land(aigw_callback_send_baton(message->easy_handle), message->data.result);
        }
    }
}

/* Where the store is away it is told later; where that lasts for longer than the lease, another child sends it again. */
static void tell(apr_pool_t *p)
{
    item_t *item, *next;

    for (item = APR_RING_FIRST(&sender.tried); item != APR_RING_SENTINEL(&sender.tried, item_t, link); item = next) {
        next = APR_RING_NEXT(item, link);
        if (sender.vt->callback_tried(sender.store, p, &item->callback, item->next) == APR_EAGAIN &&
            aigw_clock_now() - item->claimed < lease()) {
            break;
        }
        forget(item);
    }
    apr_pool_clear(p);
}

/* ------------------------------------------------------------------ the thread */

static void poll_for(apr_interval_time_t time)
{
    curl_multi_poll(sender.multi, NULL, 0, time > 0 ? (int)apr_time_as_msec(time) + 1 : 0, NULL);
}

/* What flies may land, within its time-out, if the child is not in a hurry; the rest is for others, now. */
static void finish(apr_pool_t *p)
{
    const apr_time_t until = aigw_clock_now() + sender.conf->timeout + APR_USEC_PER_SEC;
    item_t *item;

    while (!APR_RING_EMPTY(&sender.waiting, item_t, link)) {
        settle(APR_RING_FIRST(&sender.waiting), 1);
    }
    tell(p);
    while (sender.nflying && !aigw_tasks_core->stopping() && aigw_clock_now() < until) {
        poll_for(apr_time_from_msec(100));
        land_all();
        tell(p);
    }
    while (!APR_RING_EMPTY(&sender.flying, item_t, link)) { /* it may have arrived, and comes again */
        item = APR_RING_FIRST(&sender.flying);
        stop_flying(item);
        settle(item, sender.conf->retry.first);
    }
    tell(p);
    while (!APR_RING_EMPTY(&sender.tried, item_t, link)) {
        forget(APR_RING_FIRST(&sender.tried));
    }
}

static void *APR_THREAD_FUNC sender_main(apr_thread_t *thread, void *data)
{
    apr_time_t looked = 0, now;
    apr_pool_t *p;

    apr_pool_create(&p, sender.pool);
    while (!apr_atomic_read32(&sender.ends)) {
        land_all();
        tell(p);
        now = aigw_clock_now();
        if (may_claim() && (apr_atomic_xchg32(&sender.woken, 0) || sender.more || now - looked >= LOOK)) {
            looked = now;
            claim(p);
        }
        start(p);
        tell(p);
        poll_for(!may_claim() ? LOOK : sender.more ? 0 : looked + LOOK - aigw_clock_now()); /* what lands, and a wake, cut this short */
    }
    finish(p);
    return NULL;
}

void aigw_task_callback_wake(void)
{
    if (sender.thread) {
        apr_atomic_set32(&sender.woken, 1);
        curl_multi_wakeup(sender.multi);
    }
}

/* ------------------------------------------------------------------ its life */

/* Before the store closes. */
static apr_status_t stop(void *dummy)
{
    apr_status_t rv;

    if (sender.thread) {
        apr_atomic_set32(&sender.ends, 1);
        curl_multi_wakeup(sender.multi);
        apr_thread_join(&rv, sender.thread);
        sender.thread = NULL;
    }
    curl_multi_cleanup(sender.multi);
    sender.multi = NULL;
    curl_global_cleanup();
    return APR_SUCCESS;
}

static void fault(apr_status_t rv, const char *what)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, rv, sender.server, "AIGW0613: %s: this child sends no callbacks, others do", what);
}

void aigw_task_callback_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    sigset_t all, before;
    apr_status_t rv;

    sender.conf = aigw_tasks_conf()->callback;
    sender.vt = aigw_tasks_core->store(&sender.store);
    sender.server = main_server;
    if (!sender.vt || aigw_callback_list_is_empty(&sender.conf->allow)) {
        return;
    }
    /* a thread of libcurl's that resolves a name may outlive the modules of a child that exits */
    if (aigw_pin((void (*)(void))curl_easy_init) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        !(sender.multi = curl_multi_init())) {
        fault(0, "libcurl cannot be used");
        return;
    }
    APR_RING_INIT(&sender.waiting, item_t, link);
    APR_RING_INIT(&sender.flying, item_t, link);
    APR_RING_INIT(&sender.tried, item_t, link);
    apr_pool_pre_cleanup_register(pchild, NULL, stop);
    if (!(sender.pool = aigw_own_pool(pchild))) {
        fault(APR_ENOMEM, "no memory");
        return;
    }
    sigfillset(&all); /* signals are for httpd's own threads; those that libcurl makes are like this one */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    rv = ap_thread_create(&sender.thread, NULL, sender_main, NULL, sender.pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != APR_SUCCESS) {
        sender.thread = NULL;
        fault(rv, "no thread");
    }
}
