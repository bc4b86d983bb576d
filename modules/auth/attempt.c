#include "attempt.h"
#include "auth.h"
#include "auth_conf.h"
#include "aigw_address.h"
#include "aigw_shared.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_general.h>
#include <apr_lib.h>
#include <apr_siphash.h>
#include <apr_strings.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw_auth);

#define RETAINED    "aigw-attempts-1" /* the number goes up where what is in the memory changes its form */
#define ENTRIES     65536             /* failures that are remembered: of users, addresses and pairs */
#define FRIENDS     16384             /* pairs of user and address that have logged in */
#define FRIEND_TIME apr_time_from_sec(30 * 86400)
#define PLACES      512
#define PLACE_TIME  apr_time_from_sec(120) /* whoever has held a place for so long is stuck; others need it */
#define SLOW_TIME   apr_time_from_sec(600) /* so long a slow check is remembered */
#define JITTER      16                     /* of the floor, at most this part on top of it */
#define SLOW_FLOORS 8                      /* but not beyond so many times the floor */

/* Of one who is at work. */
typedef struct place_t {
    apr_time_t until; /* 0: nobody's */
    pid_t holder;
} place_t;

typedef struct memory_t {
    unsigned char secret[APR_SIPHASH_KSIZE];
    apr_interval_time_t slowest; /* what checks took of late, rounded up */
    apr_time_t slowest_until;
    place_t places[PLACES];
    /* two tables */
} memory_t;

/* Of the main process, for as long as it lives; children inherit it. */
typedef struct state_t {
    aigw_shared_t *shared;
} state_t;

static state_t *state; /* set before there are children, and so are these */
static memory_t *memory;
static aigw_throttle_t *failures, *friends;
static int places; /* how many of them may be taken */
static server_rec *server;

static apr_size_t rounded(apr_size_t n)
{
    return APR_ALIGN(n, 64);
}

/* A quarter of the workers: a flood of logins leaves the others to those who are logged in. */
static int default_places(void)
{
    int daemons = 1, threads = 1, n;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &daemons);
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    n = daemons * (threads > 0 ? threads : 1) / 4;
    return n < 1 ? 1 : n > PLACES ? PLACES : n;
}

static apr_status_t make(server_rec *s)
{
    apr_size_t head = rounded(sizeof(memory_t)), first = rounded(aigw_throttle_size(ENTRIES));
    apr_status_t rv = aigw_shared_make(&state->shared, head + first + aigw_throttle_size(FRIENDS), s->process->pool);
    char *data;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    data = aigw_shared_data(state->shared);
    aigw_throttle_init(data + head, ENTRIES);
    aigw_throttle_init(data + head + first, FRIENDS);
    return apr_generate_random_bytes(((memory_t *)(void *)data)->secret, APR_SIPHASH_KSIZE);
}

int aigw_attempt_post_config(server_rec *s)
{
    const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);
    apr_status_t rv = APR_SUCCESS;
    char *data;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return 0; /* it comes again */
    }
    server = s;
    places = conf->login_workers ? conf->login_workers : default_places();
    state = ap_retained_data_get(RETAINED);
    if (!state) {
        state = ap_retained_data_create(RETAINED, sizeof *state);
    }
    if (!state->shared) {
        rv = make(s);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "AIGW0379: no shared memory for failed logins");
        return -1;
    }
    data = aigw_shared_data(state->shared);
    memory = (memory_t *)(void *)data;
    failures = (aigw_throttle_t *)(void *)(data + rounded(sizeof(memory_t)));
    friends = (aigw_throttle_t *)(void *)(data + rounded(sizeof(memory_t)) + rounded(aigw_throttle_size(ENTRIES)));
    return 0;
}

/* 1: locked. Whoever died while he had it locked has left nothing that is wrong: times and keys, each written in one step. */
static int lock(void)
{
    apr_status_t rv = aigw_shared_lock(state->shared);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, server, "AIGW0365: the memory of failed logins cannot be locked: nobody can log in");
        return 0;
    }
    return 1;
}

/* ------------------------------------------------------------------ keys */

static apr_uint64_t hash(const char *text, apr_size_t len)
{
    apr_uint64_t key = apr_siphash24(text, len, memory->secret);

    return key ? key : 1;
}

/* What some directory takes for the same name counts as the same: LDAP does not look at case, nor at how many blanks there are. */
static const char *user_of(request_rec *r, const char *user)
{
    char *folded = apr_palloc(r->pool, strlen(user) + 1), *to = folded;

    for (; *user; user++) {
        if (*user != ' ') {
            *to++ = (char)apr_tolower(*user);
        }
    }
    *to = '\0';
    return folded;
}

static void set_keys(aigw_attempt_t *attempt, request_rec *r, const char *name)
{
    const char *address = aigw_address_client(r->pool, r->useragent_ip), *user = user_of(r, name);
    apr_size_t a = strlen(address), u = strlen(user);
    char *text = apr_pstrcat(r->pool, "p", address, " ", user, NULL); /* no address has a blank in it */

    attempt->pair = hash(text, a + u + 2);
    text[0] = 'f';
    attempt->friend = hash(text, a + u + 2);
    text[0] = 'a';
    attempt->address = hash(text, a + 1);
    text = apr_pstrcat(r->pool, "u", user, NULL);
    attempt->user = hash(text, u + 1);
}

/* ------------------------------------------------------------------ a try */

static apr_interval_time_t longer(apr_interval_time_t a, apr_interval_time_t b)
{
    return a > b ? a : b;
}

/* How long until there is a try left by all limits. */
static apr_interval_time_t waits(const aigw_attempt_t *a, apr_time_t now)
{
    apr_interval_time_t wait = aigw_throttle_wait(failures, a->pair, &a->limits->pair, now);

    wait = longer(wait, aigw_throttle_wait(failures, a->address, &a->limits->address, now));
    return a->is_friend ? wait : longer(wait, aigw_throttle_wait(failures, a->user, &a->limits->user, now));
}

/* A child that was killed gives nothing back. */
static int is_free(const place_t *place, apr_time_t now)
{
    return place->until <= now || (kill(place->holder, 0) && errno == ESRCH);
}

static int take_place(aigw_attempt_t *a)
{
    int i;

    for (i = 0; i < places; i++) {
        if (is_free(&memory->places[i], a->began)) {
            a->place = i;
            a->place_until = a->began + PLACE_TIME;
            memory->places[i].holder = getpid();
            memory->places[i].until = a->place_until;
            return 1;
        }
    }
    return 0;
}

static aigw_attempt_e begin(aigw_attempt_t *a, apr_interval_time_t *wait)
{
    a->is_friend = aigw_throttle_until(friends, a->friend, a->began) != 0;
    *wait = waits(a, a->began);
    if (*wait) {
        return AIGW_ATTEMPT_THROTTLED;
    }
    if (!take_place(a)) {
        return AIGW_ATTEMPT_CROWDED;
    }
    aigw_throttle_charge(failures, a->pair, &a->limits->pair, a->began);
    aigw_throttle_charge(failures, a->address, &a->limits->address, a->began);
    if (!a->is_friend) {
        aigw_throttle_charge(failures, a->user, &a->limits->user, a->began);
    }
    return AIGW_ATTEMPT_MAY;
}

aigw_attempt_e aigw_attempt_begin(aigw_attempt_t *attempt, request_rec *r, const char *user, const aigw_attempt_limits_t *limits,
                                  apr_interval_time_t *wait)
{
    aigw_attempt_e may;

    memset(attempt, 0, sizeof *attempt);
    attempt->limits = limits;
    attempt->place = -1;
    attempt->began = aigw_clock_now();
    set_keys(attempt, r, user);
    if (!lock()) {
        return AIGW_ATTEMPT_CROWDED;
    }
    may = begin(attempt, wait);
    aigw_shared_unlock(state->shared);
    return may;
}

static void settle(const aigw_attempt_t *a, aigw_outcome_e outcome, apr_time_t now)
{
    if (outcome == AIGW_ATTEMPT_FAILED) {
        return; /* it has been charged */
    }
    aigw_throttle_refund(failures, a->address, &a->limits->address, now);
    if (outcome == AIGW_ATTEMPT_SUCCEEDED) {
        aigw_throttle_forget(failures, a->pair);
        aigw_throttle_forget(failures, a->user);
        aigw_throttle_remember(friends, a->friend, now + FRIEND_TIME, now);
        return;
    }
    aigw_throttle_refund(failures, a->pair, &a->limits->pair, now);
    if (!a->is_friend) {
        aigw_throttle_refund(failures, a->user, &a->limits->user, now);
    }
}

/* The next multiple of step that is not before t. */
static apr_interval_time_t round_up(apr_interval_time_t t, apr_interval_time_t step)
{
    return t <= step ? step : (t + step - 1) / step * step;
}

/* Some checks have taken longer than the floor: then all others wait as long, or the difference would show which users there are. 1: longer than known before. */
static int note_slow(apr_interval_time_t took, apr_interval_time_t floor, apr_time_t now)
{
    apr_interval_time_t slow = round_up(took, floor), most = SLOW_FLOORS * floor;

    if (memory->slowest_until <= now) {
        memory->slowest = 0;
    }
    if (slow <= floor || slow < memory->slowest) {
        return 0;
    }
    memory->slowest_until = now + SLOW_TIME;
    slow = slow < most ? slow : most;
    if (slow <= memory->slowest) {
        return 0;
    }
    memory->slowest = slow;
    return 1;
}

/* A thread that has worked out a hash wakes up from its wait some 0.1 ms earlier than one that has slept all along: caches, clocks of processors. A chance of many times
 * as much lies over that. */
static apr_interval_time_t jitter(apr_interval_time_t floor)
{
    apr_uint32_t random = 0;

    if (apr_generate_random_bytes((unsigned char *)&random, sizeof random) != APR_SUCCESS) {
        return 0;
    }
    return (apr_interval_time_t)(random % (apr_uint64_t)(floor / JITTER + 1));
}

apr_time_t aigw_attempt_decided(aigw_attempt_t *attempt, aigw_outcome_e outcome, apr_interval_time_t floor, int *risen)
{
    apr_time_t now = aigw_clock_now();
    apr_interval_time_t took = now - attempt->began, wait = floor;

    *risen = 0;
    if (lock()) {
        settle(attempt, outcome, now);
        if (outcome != AIGW_ATTEMPT_VOID) {
            *risen = note_slow(took, floor, now);
        }
        wait = round_up(memory->slowest_until > now ? memory->slowest : 0, floor);
        aigw_shared_unlock(state->shared);
    }
    return attempt->began + longer(wait, round_up(took, floor)) + jitter(floor);
}

void aigw_attempt_end(aigw_attempt_t *attempt)
{
    if (attempt->place >= 0 && lock()) {
        place_t *place = &memory->places[attempt->place];

        if (place->holder == getpid() && place->until == attempt->place_until) { /* else it was longer than PLACE_TIME, and is another's */
            place->until = 0;
        }
        attempt->place = -1;
        aigw_shared_unlock(state->shared);
    }
}
