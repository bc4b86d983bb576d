#include "jwks_keeper.h"
#include "auth.h"
#include "aigw_clock.h"
#include "aigw_jwks.h"
#include "aigw_own_pool.h"
#include "aigw_pin.h"

#include <mpm_common.h>
#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include <signal.h>

APLOG_USE_MODULE(aigw_auth);

#define SLEEP_MAX apr_time_from_sec(60) /* what another child has left undone is seen then, if nobody asks for it before */

static struct {
    aigw_jwks_address_t *addresses; /* constant in a child */
    apr_pool_t *pool;               /* of the thread */
    apr_thread_t *thread;
    CURLM *multi;
    int ends;     /* the thread is to end */
    int stopping; /* a hard stop */
} keeper;

/* ------------------------------------------------------------------ what a fetch brings */

static const char *usable_for(const aigw_jwks_address_t *address, apr_time_t now, apr_pool_t *p)
{
    apr_interval_time_t left = aigw_jwks_share_good_at(address->share) + address->conf.stale - now;

    if (!aigw_jwks_share_number(address->share) || left <= 0) {
        return "There are no keys: tokens that need them are refused";
    }
    return apr_psprintf(p, "The keys that it gave last are used for %" APR_TIME_T_FMT " s more", apr_time_sec(left));
}

static void say(const aigw_jwks_address_t *address, aigw_jwks_end_e what, const char *reason, const char *detail, const aigw_jwks_t *set,
                apr_time_t now, apr_pool_t *p)
{
    const server_rec *s = address->server;

    switch (what) {
    case AIGW_JWKS_FAILED:
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "AIGW0351: no keys from %s: %s%s%s%s. %s", address->url, reason, *detail ? " (" : "",
                     detail, *detail ? ")" : "", usable_for(address, now, p));
        break;
    case AIGW_JWKS_RECOVERED:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "AIGW0352: %s answers again: %d keys, %d of no use here", address->url,
                     set->keys->nelts, set->skipped);
        break;
    case AIGW_JWKS_NEW:
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "AIGW0353: new keys from %s: %d, and %d of no use here", address->url, set->keys->nelts,
                     set->skipped);
        break;
    case AIGW_JWKS_STILL:
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, s, "AIGW0335: still no keys from %s: %s", address->url, reason);
        break;
    default:
        break;
    }
}

static void land(aigw_jwks_address_t *address, CURLcode code, apr_pool_t *p)
{
    const char *reason, *detail, *text, *fault;
    apr_time_t now = aigw_clock_now();
    aigw_jwks_end_e what;
    aigw_jwks_t set;
    apr_size_t len;

    text = aigw_jwks_fetch_result(address->fetch, code, &len, &reason, &detail);
    if (text && (fault = aigw_jwks_read(p, text, len, AIGW_JWKS_FETCHED, &set)) != NULL) {
        text = NULL;
        reason = fault;
    }
    what = aigw_jwks_share_end(address->share, &address->conf, now, address->flight, text, len, reason);
    say(address, what, reason, detail, &set, now, p);
    aigw_jwks_fetch_free(address->fetch, keeper.multi);
    address->fetch = NULL;
}

/* ------------------------------------------------------------------ the thread */

static void land_all(apr_pool_t *p)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(keeper.multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            land(aigw_jwks_fetch_baton(message->easy_handle), message->data.result, p);
            apr_pool_clear(p);
        }
    }
}

/* Starts what is due. Returns when to look again. */
static apr_time_t take_off(void)
{
    aigw_jwks_address_t *address;
    apr_time_t now = aigw_clock_now(), next = now + SLEEP_MAX, again;

    for (address = keeper.addresses; address; address = address->next) {
        if (address->fetch) {
            continue;
        }
        if (!aigw_jwks_share_lease(address->share, &address->conf, now, &address->flight, &again)) {
            next = again < next ? again : next;
        }
        else if ((address->fetch = aigw_jwks_fetch_begin(keeper.multi, address->url, &address->conf, address)) == NULL) {
            say(address, aigw_jwks_share_end(address->share, &address->conf, now, address->flight, NULL, 0, "out of memory"),
                "out of memory", "", NULL, now, keeper.pool);
        }
    }
    return next;
}

static void *APR_THREAD_FUNC keeper_main(apr_thread_t *thread, void *data)
{
    aigw_jwks_address_t *address;
    apr_time_t next, now;
    apr_pool_t *p;
    int running;

    apr_pool_create(&p, keeper.pool);
    while (!__atomic_load_n(&keeper.ends, __ATOMIC_ACQUIRE)) {
        curl_multi_perform(keeper.multi, &running);
        land_all(p);
        next = take_off();
        now = aigw_clock_now();
        /* a handle that was added, and what libcurl waits for, cut this short */
        curl_multi_poll(keeper.multi, NULL, 0, next > now ? (int)apr_time_as_msec(next - now) + 1 : 0, NULL);
    }
    for (address = keeper.addresses; address; address = address->next) {
        if (address->fetch) {
            aigw_jwks_share_abandon(address->share, address->flight);
            aigw_jwks_fetch_free(address->fetch, keeper.multi);
            address->fetch = NULL;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ its life */

static apr_status_t forget_addresses(void *dummy)
{
    keeper.addresses = NULL;
    return APR_SUCCESS;
}

void aigw_jwks_keeper_add(aigw_jwks_address_t *address, apr_pool_t *pconf)
{
    if (!keeper.addresses) {
        apr_pool_cleanup_register(pconf, NULL, forget_addresses, apr_pool_cleanup_null);
    }
    address->next = keeper.addresses;
    keeper.addresses = address;
}

/* The child's pool is going. A fetch that is under way is given up. */
static apr_status_t end_thread(void *dummy)
{
    apr_status_t rv;

    if (keeper.thread) {
        __atomic_store_n(&keeper.ends, 1, __ATOMIC_RELEASE);
        curl_multi_wakeup(keeper.multi);
        apr_thread_join(&rv, keeper.thread);
        keeper.thread = NULL;
    }
    if (keeper.multi) {
        curl_multi_cleanup(keeper.multi);
        keeper.multi = NULL;
        curl_global_cleanup();
    }
    return APR_SUCCESS;
}

void aigw_jwks_keeper_fault(const server_rec *s, apr_status_t rv, const char *what)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "AIGW0357: %s: this child does not fetch the keys of issuers", what);
}

void aigw_jwks_keeper_child_init(apr_pool_t *pchild, server_rec *s)
{
    sigset_t all, before;
    apr_status_t rv;

    if (!keeper.addresses || keeper.thread) {
        return;
    }
    /* A thread of libcurl's that resolves a name cannot be ended, only left (CURLOPT_QUICK_EXIT). A child that exits unloads its modules first: the code that such a thread runs must stay. */
    if (aigw_pin((void (*)(void))curl_easy_init) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (keeper.multi = curl_multi_init()) == NULL) {
        aigw_jwks_keeper_fault(s, 0, "libcurl cannot be used");
        return;
    }
    apr_pool_pre_cleanup_register(pchild, NULL, end_thread);
    keeper.pool = aigw_own_pool(pchild);
    if (!keeper.pool) {
        aigw_jwks_keeper_fault(s, APR_ENOMEM, "no memory");
        return;
    }
    sigfillset(&all); /* signals are for httpd's own threads; those that libcurl makes are like this one */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    rv = ap_thread_create(&keeper.thread, NULL, keeper_main, NULL, keeper.pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != APR_SUCCESS) {
        keeper.thread = NULL;
        aigw_jwks_keeper_fault(s, rv, "no thread");
    }
}

int aigw_jwks_keeper_wake(void)
{
    return keeper.thread && curl_multi_wakeup(keeper.multi) == CURLM_OK;
}

int aigw_jwks_keeper_is_stopping(void)
{
    return __atomic_load_n(&keeper.stopping, __ATOMIC_ACQUIRE);
}

static void child_stopping(apr_pool_t *pchild, int graceful)
{
    if (!graceful) {
        __atomic_store_n(&keeper.stopping, 1, __ATOMIC_RELEASE);
    }
}

static int sweep(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    aigw_jwks_share_sweep();
    return OK;
}

void aigw_jwks_keeper_register(apr_pool_t *p)
{
    ap_hook_post_config(sweep, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
}
