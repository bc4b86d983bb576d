#include "jwks_share.h"
#include "aigw_signals.h"
#include "aigw_jwks.h"
#include "aigw_shared.h"

#include <http_config.h>
#include <apr_strings.h>

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Other code may find what this code has left: another number where segment_t or aigw_jwks_share_t changes. */
#define RETAINED "aigw_jwks_share 2"

#define LEASE_MARGIN apr_time_from_sec(2) /* beyond the time that a fetch may take */
#define RETRY_FIRST  apr_time_from_sec(5)
#define RETRY_LAST   apr_time_from_sec(60)
#define WAIT_NSEC    200000000 /* a wait notices within this time that the child is being stopped */
#define REASON_MAX   160

enum { WANTED_AT_START = 1, WANTED_BY_REQUEST = 2 };

/* All zeros at first. */
typedef struct segment_t {
    /* Written under the lock, read without it as well. */
    apr_uint32_t number;  /* of the document; its lowest bit is its slot */
    apr_uint32_t good_at; /* seconds */
    apr_uint32_t ended;   /* flights; a futex */
    /* Under the lock. */
    apr_uint32_t flight; /* of the last lease */
    int wanted;          /* WANTED_*: whatever the time. Until a flight has ended */
    int failures;        /* flights in a row */
    apr_time_t lease;    /* until then somebody fetches */
    apr_time_t last;     /* the end of the last flight */
    apr_time_t refused;  /* until then no request brings about a fetch */
    char reason[REASON_MAX];
    apr_size_t len[2];
    char text[2][AIGW_JWKS_BYTES_MAX];
} segment_t;

/* In a pool of the main process's, below that of the process. */
struct aigw_jwks_share_t {
    apr_pool_t *pool;
    const char *url;
    const char *ca_file; /* "": the system's */
    aigw_shared_t *shared;
    segment_t *segment; /* its data */
    int used;           /* by the configuration that is being read */
    aigw_jwks_share_t *next;
};

typedef struct retained_t {
    aigw_jwks_share_t *first;
} retained_t;

/* ------------------------------------------------------------------ the segment */

static retained_t *retained(void)
{
    retained_t *all = ap_retained_data_get(RETAINED);

    return all ? all : ap_retained_data_create(RETAINED, sizeof *all);
}

static void lock(aigw_jwks_share_t *share, sigset_t *before)
{
    aigw_signals_hold(before);
    aigw_shared_lock(share->shared); /* also where somebody died with it: nothing is half done that anybody sees */
}

static void unlock(aigw_jwks_share_t *share, const sigset_t *before)
{
    aigw_shared_unlock(share->shared);
    aigw_signals_release(before);
}

static apr_status_t make(aigw_jwks_share_t **share, apr_pool_t *process, const char *url, const char *ca_file)
{
    apr_pool_t *p;
    apr_status_t rv;

    if ((rv = apr_pool_create(&p, process)) != APR_SUCCESS) {
        return rv;
    }
    *share = apr_pcalloc(p, sizeof **share);
    (*share)->pool = p;
    (*share)->url = apr_pstrdup(p, url);
    (*share)->ca_file = apr_pstrdup(p, ca_file);
    rv = aigw_shared_make(&(*share)->shared, sizeof(segment_t), p);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(p);
        return rv;
    }
    (*share)->segment = aigw_shared_data((*share)->shared);
    return APR_SUCCESS;
}

static apr_status_t not_used(void *data)
{
    aigw_jwks_share_t *share = data;

    share->used = 0;
    return APR_SUCCESS;
}

apr_status_t aigw_jwks_share_open(aigw_jwks_share_t **share, server_rec *s, apr_pool_t *pconf, const char *url, const char *ca_file)
{
    retained_t *all = retained();
    aigw_jwks_share_t *found;
    sigset_t before;
    apr_status_t rv;

    ca_file = ca_file ? ca_file : "";
    for (found = all->first; found && (strcmp(found->url, url) || strcmp(found->ca_file, ca_file)); found = found->next) {
    }
    if (!found) {
        if ((rv = make(&found, s->process->pool, url, ca_file)) != APR_SUCCESS) {
            return rv;
        }
        found->next = all->first;
        all->first = found;
    }
    if (!found->used) {
        found->used = 1;
        apr_pool_cleanup_register(pconf, found, not_used, apr_pool_cleanup_null);
    }
    lock(found, &before);
    found->segment->wanted |= WANTED_AT_START;
    found->segment->failures = 0; /* tried at once, and a failure is said again */
    found->segment->reason[0] = '\0';
    unlock(found, &before);
    *share = found;
    return APR_SUCCESS;
}

void aigw_jwks_share_sweep(void)
{
    aigw_jwks_share_t **at = &retained()->first, *share;

    while ((share = *at) != NULL) {
        if (share->used) {
            at = &share->next;
        }
        else {
            *at = share->next;
            apr_pool_destroy(share->pool);
        }
    }
}

/* ------------------------------------------------------------------ the document */

apr_uint32_t aigw_jwks_share_number(const aigw_jwks_share_t *share)
{
    return __atomic_load_n(&share->segment->number, __ATOMIC_ACQUIRE);
}

apr_time_t aigw_jwks_share_good_at(const aigw_jwks_share_t *share)
{
    return apr_time_from_sec((apr_time_t)__atomic_load_n(&share->segment->good_at, __ATOMIC_ACQUIRE));
}

apr_uint32_t aigw_jwks_share_read(aigw_jwks_share_t *share, apr_pool_t *p, char **text, apr_size_t *len)
{
    segment_t *segment = share->segment;
    char *copy = apr_palloc(p, AIGW_JWKS_BYTES_MAX);
    apr_uint32_t number;
    sigset_t before;

    lock(share, &before);
    number = segment->number;
    *len = number ? segment->len[number & 1] : 0;
    memcpy(copy, segment->text[number & 1], *len);
    unlock(share, &before);
    *text = copy;
    return number;
}

/* ------------------------------------------------------------------ fetching */

static apr_interval_time_t retry_after(int failures)
{
    apr_interval_time_t t = RETRY_FIRST << (failures > 5 ? 4 : failures - 1);

    return t > RETRY_LAST ? RETRY_LAST : t;
}

/* When the next fetch is due. Under the lock. */
static apr_time_t due(const segment_t *segment, const aigw_jwks_conf_t *rules)
{
    if (segment->wanted) {
        return 0;
    }
    return segment->last + (segment->failures ? retry_after(segment->failures) : rules->ttl);
}

int aigw_jwks_share_lease(aigw_jwks_share_t *share, const aigw_jwks_conf_t *rules, apr_time_t now, apr_uint32_t *flight, apr_time_t *again)
{
    segment_t *segment = share->segment;
    sigset_t before;
    int ours;

    lock(share, &before);
    *again = segment->lease > now ? segment->lease : due(segment, rules);
    ours = *again <= now;
    if (ours) {
        segment->lease = now + rules->timeout + LEASE_MARGIN;
        *flight = ++segment->flight;
    }
    unlock(share, &before);
    return ours;
}

/* Under the lock. 1: it is another document. */
static int store(segment_t *segment, const char *text, apr_size_t len)
{
    apr_uint32_t number = segment->number, slot = number & 1;

    if (number && segment->len[slot] == len && !memcmp(segment->text[slot], text, len)) {
        return 0;
    }
    number += number == APR_UINT32_MAX ? 2 : 1; /* never 0 again */
    slot = number & 1;
    memcpy(segment->text[slot], text, len);
    segment->len[slot] = len;
    __atomic_store_n(&segment->number, number, __ATOMIC_RELEASE);
    return 1;
}

/* Under the lock. */
static aigw_jwks_end_e end(segment_t *segment, apr_time_t now, const char *text, apr_size_t len, const char *reason)
{
    int failures = segment->failures;

    if (!text) {
        aigw_jwks_end_e what = failures && !strncmp(reason, segment->reason, REASON_MAX - 1) ? AIGW_JWKS_STILL : AIGW_JWKS_FAILED;

        segment->failures++;
        apr_cpystrn(segment->reason, reason, REASON_MAX);
        return what;
    }
    segment->failures = 0;
    __atomic_store_n(&segment->good_at, (apr_uint32_t)apr_time_sec(now), __ATOMIC_RELEASE);
    if (store(segment, text, len)) {
        return failures ? AIGW_JWKS_RECOVERED : AIGW_JWKS_NEW;
    }
    return failures ? AIGW_JWKS_RECOVERED : AIGW_JWKS_SAME;
}

aigw_jwks_end_e aigw_jwks_share_end(aigw_jwks_share_t *share, const aigw_jwks_conf_t *rules, apr_time_t now, apr_uint32_t flight,
                                    const char *text, apr_size_t len, const char *reason)
{
    segment_t *segment = share->segment;
    aigw_jwks_end_e what = AIGW_JWKS_LATE;
    sigset_t before;

    lock(share, &before);
    if (flight == segment->flight) {
        what = end(segment, now, text, len, reason);
        if (segment->wanted & WANTED_BY_REQUEST) {
            segment->refused = now + rules->min_interval;
        }
        segment->wanted = 0;
        segment->lease = 0;
        segment->last = now;
        __atomic_add_fetch(&segment->ended, 1, __ATOMIC_RELEASE);
    }
    unlock(share, &before);
    syscall(SYS_futex, &segment->ended, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return what;
}

void aigw_jwks_share_abandon(aigw_jwks_share_t *share, apr_uint32_t flight)
{
    sigset_t before;

    lock(share, &before);
    if (flight == share->segment->flight) {
        share->segment->lease = 0;
    }
    unlock(share, &before);
}

/* ------------------------------------------------------------------ waiting */

int aigw_jwks_share_ask(aigw_jwks_share_t *share, apr_time_t now, int have, apr_uint32_t *ended)
{
    segment_t *segment = share->segment;
    sigset_t before;
    int wait = 0;

    lock(share, &before);
    *ended = segment->ended;
    if (!have && segment->failures) {
        wait = 0;
    }
    else if (segment->lease > now || segment->wanted) {
        wait = 1;
    }
    else if (segment->refused <= now) {
        segment->wanted |= WANTED_BY_REQUEST;
        wait = 1;
    }
    unlock(share, &before);
    return wait;
}

/* A futex, not a condition variable: that of a process that is killed while it waits would be left unusable. */
int aigw_jwks_share_wait(aigw_jwks_share_t *share, apr_uint32_t ended)
{
    const struct timespec most = {0, WAIT_NSEC};

    if (__atomic_load_n(&share->segment->ended, __ATOMIC_ACQUIRE) == ended) {
        syscall(SYS_futex, &share->segment->ended, FUTEX_WAIT, ended, &most, NULL, 0);
    }
    return __atomic_load_n(&share->segment->ended, __ATOMIC_ACQUIRE) != ended;
}
