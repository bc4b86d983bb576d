#include "limit_memory.h"
#include "limit_conf.h"
#include "aigw_clock.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <openssl/rand.h>

APLOG_USE_MODULE(aigw_ratelimit);

#define RETAINED       "aigw-limits-2" /* the number goes up where what is in the memory changes its form */
#define GENERATIONS    2               /* children of so many, with all that may be started, have a place at a time */
#define MORE_CHILDREN  64
#define SAID_AT_MOST   apr_time_from_sec(60) /* each child says once in so long that there is no room */
#define DAEMONS_AT_ALL 1024                  /* where the MPM does not say */

/* Of the main process, for as long as it lives; children inherit it. */
typedef struct memory_t {
    aigw_limit_shm_t *shm;
    apr_uint32_t entries;
    unsigned char secret[AIGW_LIMIT_SECRET];
    unsigned secret_made : 1;
} memory_t;

static memory_t *memory;   /* set before there are children */
static server_rec *server; /* the main one, for the log */

static void tell(aigw_limit_shm_news_e news, apr_status_t rv)
{
    if (news == AIGW_LIMIT_SHM_MENDED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, server, "AIGW0411: a process died while it counted: the table of limits is mended");
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, server, "AIGW0412: the table of limits cannot be locked");
    }
}

/* ------------------------------------------------------------------ the main process */

static apr_uint32_t processes(void)
{
    int daemons = 0;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons) != APR_SUCCESS || daemons < 1) {
        daemons = DAEMONS_AT_ALL;
    }
    return (apr_uint32_t)daemons * GENERATIONS + MORE_CHILDREN;
}

/* What was counted is lost where the size changes: it is counted anew. Children that still run count in what they have. */
static apr_status_t make(apr_uint32_t entries, apr_pool_t *process)
{
    aigw_limit_shm_t *made;
    apr_status_t rv;

    if (!memory->secret_made && RAND_bytes(memory->secret, AIGW_LIMIT_SECRET) != 1) {
        return APR_EGENERAL;
    }
    memory->secret_made = 1;
    rv = aigw_limit_shm_make(&made, entries, processes(), memory->secret, process);
    if (rv == APR_SUCCESS) {
        if (memory->shm) {
            aigw_limit_shm_drop(memory->shm);
        }
        memory->shm = made;
        memory->entries = entries;
    }
    return rv;
}

int aigw_limit_memory_post_config(server_rec *main_server)
{
    const apr_uint32_t entries = (apr_uint32_t)aigw_limit_conf_entries(main_server);
    apr_status_t rv;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return 0; /* it comes again */
    }
    server = main_server;
    memory = ap_retained_data_get(RETAINED);
    if (!memory) {
        memory = ap_retained_data_create(RETAINED, sizeof *memory);
    }
    if (memory->entries != entries && (rv = make(entries, main_server->process->pool)) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server, "AIGW0410: no shared memory for %u counters (AIGWLimitEntries)", entries);
        if (!memory->shm) { /* at a restart what there is goes on: httpd would go down */
            return -1;
        }
    }
    aigw_limit_shm_tell(memory->shm, tell); /* the module may be somewhere else since the restart */
    return 0;
}

/* ------------------------------------------------------------------ a child */

static apr_status_t leave(void *dummy)
{
    aigw_limit_shm_leave(memory->shm);
    return APR_SUCCESS;
}

void aigw_limit_memory_child_init(apr_pool_t *pchild)
{
    apr_status_t rv = aigw_limit_shm_join(memory->shm, aigw_clock_now());

    if (rv == APR_SUCCESS) {
        apr_pool_cleanup_register(pchild, NULL, leave, apr_pool_cleanup_null);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, server, "AIGW0413: this child can hold no slots and reserve no tokens");
    }
}

/* ------------------------------------------------------------------ deciding */

static void to_count(aigw_limit_count_t *count, const aigw_limit_charge_t *charge)
{
    memset(count, 0, sizeof *count);
    count->rate = &charge->limit->rate;
    memcpy(count->key, charge->key, AIGW_LIMIT_KEY);
    count->cost = charge->cost;
    count->slots = charge->limit->what == AIGW_LIMIT_CONCURRENT;
    count->soft = charge->soft;
    count->charged = charge->charged;
    count->charged_at = charge->charged_at;
    count->hold = charge->hold;
}

static void from_count(aigw_limit_charge_t *charge, const aigw_limit_count_t *count)
{
    memcpy(charge->key, count->key, AIGW_LIMIT_KEY);
    charge->over = count->over;
    charge->charged = count->charged;
    charge->left = count->left;
    charge->wait = count->wait;
    charge->reset = count->reset;
    charge->charged_at = count->charged_at;
    charge->hold = count->hold;
}

/* Where all entries are in use, whoever is new shares one with others who are: what they may do is bounded all the same, and nobody is forgotten. */
static void make_others(const aigw_limit_charge_t *charge, aigw_limit_count_t *count)
{
    aigw_limit_key(charge->limit, 0, "", count->key);
    count->spare = 1;
}

/* Each child at most once in so long. said_at: of this kind of news. */
static int is_time_to_say(apr_time_t *said_at)
{
    apr_time_t now = aigw_clock_now(), last = __atomic_load_n(said_at, __ATOMIC_RELAXED);

    return (!last || now - last >= SAID_AT_MOST) && __atomic_compare_exchange_n(said_at, &last, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void say_shared(void)
{
    static apr_time_t said_at;

    if (is_time_to_say(&said_at)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server,
                     "AIGW0416: all counters are in use: who is new shares one with all others who are (AIGWLimitEntries)");
    }
}

static void say_too_many(int count)
{
    static apr_time_t said_at;

    if (is_time_to_say(&said_at)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "AIGW0417: %d limits hold for one request, more than %d: it is refused (AIGWLimit)",
                     count, AIGW_LIMIT_COUNTS_MAX);
    }
}

static aigw_limit_shm_answer_e ask(const aigw_limit_charge_t *charges, aigw_limit_count_t *counts, int n, int hold, int *which)
{
    aigw_limit_shm_answer_e answer;
    sigset_t before;
    int shared = 0;

    aigw_signals_hold(&before);
    answer = aigw_limit_shm_decide(memory->shm, counts, n, hold, aigw_clock_now(), which);
    while (answer == AIGW_LIMIT_SHM_FULL && !counts[*which].spare) {
        make_others(&charges[*which], &counts[*which]);
        shared = 1;
        answer = aigw_limit_shm_decide(memory->shm, counts, n, hold, aigw_clock_now(), which);
    }
    aigw_signals_release(&before);
    if (shared) {
        say_shared();
    }
    return answer;
}

static void say_no_room(aigw_limit_shm_answer_e answer)
{
    static apr_time_t said_at;

    if (!is_time_to_say(&said_at)) {
        return;
    }
    if (answer == AIGW_LIMIT_SHM_HOLDS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "AIGW0415: there are too many open calls to note what they hold (AIGWLimitEntries)");
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, server,
                     "AIGW0414: all counters are in use, those that are shared then, too (AIGWLimitEntries)");
    }
}

static aigw_limit_answer_e decide(aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    aigw_limit_count_t counts[AIGW_LIMIT_COUNTS_MAX];
    aigw_limit_shm_answer_e answer;
    int i;

    *refused = -1;
    if (count > AIGW_LIMIT_COUNTS_MAX) {
        say_too_many(count);
        return AIGW_LIMIT_UNAVAILABLE;
    }
    for (i = 0; i < count; i++) {
        to_count(&counts[i], &charges[i]);
    }
    answer = ask(charges, counts, count, hold, refused);
    for (i = 0; i < count; i++) {
        from_count(&charges[i], &counts[i]);
    }
    if (answer == AIGW_LIMIT_SHM_HOLDS || answer == AIGW_LIMIT_SHM_FULL) {
        say_no_room(answer);
    }
    if (answer == AIGW_LIMIT_SHM_YES) {
        return AIGW_LIMIT_YES;
    }
    return answer == AIGW_LIMIT_SHM_NO ? AIGW_LIMIT_NO : AIGW_LIMIT_UNAVAILABLE;
}

/* ------------------------------------------------------------------ and afterwards */

static void settle_one(aigw_limit_charge_t *charge, apr_int64_t actual)
{
    aigw_limit_count_t count;
    sigset_t before;

    if (charge->charged) {
        to_count(&count, charge);
        charge->charged = 0;
        aigw_signals_hold(&before);
        aigw_limit_shm_settle(memory->shm, &count, actual, aigw_clock_now());
        aigw_signals_release(&before);
    }
}

static void settle(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        settle_one(&charges[i], actual[i]);
    }
}

static void refund(aigw_limit_charge_t *charges, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        settle_one(&charges[i], 0);
    }
}

const aigw_limit_store_vt aigw_limit_memory = {"memory", decide, settle, refund};

int aigw_limit_memory_sums(aigw_limit_shm_sums_t *sums)
{
    sigset_t before;
    int ok;

    if (!memory || !memory->shm) {
        return 0;
    }
    aigw_signals_hold(&before);
    aigw_limit_shm_reap(memory->shm, aigw_clock_now());
    ok = aigw_limit_shm_sums(memory->shm, sums);
    aigw_signals_release(&before);
    return ok;
}
