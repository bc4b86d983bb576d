#include "limit_memory.h"
#include "limit_conf.h"
#include "aigw_clock.h"
#include "aigw_shared.h"
#include "aigw_signals.h"

#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>
#include <openssl/rand.h>

APLOG_USE_MODULE(aigw_ratelimit);

#define RETAINED "aigw-limits-1" /* the number goes up where what is in the memory changes its form */
#define STRIPES  16
#define SECRET   32

/* Of the main process, for as long as it lives; children inherit it. */
typedef struct memory_t {
    aigw_shared_t *stripes[STRIPES];
    apr_uint32_t entries; /* of a stripe */
    unsigned char secret[SECRET];
} memory_t;

static memory_t *memory;   /* set before there are children */
static server_rec *server; /* the main one, for the log */

static aigw_limit_table_t *table_of(unsigned stripe)
{
    return aigw_shared_data(memory->stripes[stripe]);
}

/* ------------------------------------------------------------------ the main process */

static void drop(aigw_shared_t *stripes[STRIPES])
{
    int i;

    for (i = 0; i < STRIPES; i++) {
        if (stripes[i]) {
            aigw_shared_drop(stripes[i]);
        }
    }
}

/* What was counted is lost where the size changes: it is counted anew. */
static apr_status_t make(apr_uint32_t entries, apr_pool_t *process)
{
    aigw_shared_t *made[STRIPES] = {NULL};
    int i;

    for (i = 0; i < STRIPES; i++) {
        apr_status_t rv = aigw_shared_make(&made[i], aigw_limit_table_size(entries), process);

        if (rv != APR_SUCCESS) {
            drop(made);
            return rv;
        }
        aigw_limit_table_init(aigw_shared_data(made[i]), entries);
    }
    drop(memory->stripes);
    memcpy(memory->stripes, made, sizeof made);
    memory->entries = entries;
    return APR_SUCCESS;
}

int aigw_limit_memory_post_config(server_rec *main_server)
{
    const apr_uint32_t entries = ((apr_uint32_t)aigw_limit_conf_entries(main_server) + STRIPES - 1) / STRIPES;
    apr_status_t rv = APR_SUCCESS;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return 0; /* it comes again */
    }
    server = main_server;
    memory = ap_retained_data_get(RETAINED);
    if (!memory) {
        memory = ap_retained_data_create(RETAINED, sizeof *memory);
        rv = RAND_bytes(memory->secret, SECRET) == 1 ? APR_SUCCESS : APR_EGENERAL;
    }
    if (rv == APR_SUCCESS && memory->entries != entries) {
        rv = make(entries, main_server->process->pool);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, main_server, "AIGW0410: no shared memory for %u counters (AIGWLimitEntries)",
                     entries * STRIPES);
        return -1;
    }
    return 0;
}

/* The table goes by the first bytes. */
static unsigned stripe_of(const unsigned char *key)
{
    return key[AIGW_LIMIT_KEY - 1] % STRIPES;
}

/* ------------------------------------------------------------------ locks */

static int lock(unsigned stripe)
{
    apr_status_t rv = aigw_shared_lock(memory->stripes[stripe]);

    if (rv == APR_INCOMPLETE) {
        aigw_limit_table_repair(table_of(stripe));
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, server, "AIGW0411: a process died while it counted: the table of limits is mended");
        return 1;
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, server, "AIGW0412: the table of limits cannot be locked");
    }
    return rv == APR_SUCCESS;
}

static void unlock_all(unsigned stripes)
{
    unsigned i;

    for (i = 0; i < STRIPES; i++) {
        if (stripes & (1u << i)) {
            aigw_shared_unlock(memory->stripes[i]);
        }
    }
}

/* Always in the same order, so that two never wait for each other. */
static int lock_all(unsigned stripes)
{
    unsigned i;

    for (i = 0; i < STRIPES; i++) {
        if ((stripes & (1u << i)) && !lock(i)) {
            unlock_all(stripes & ((1u << i) - 1));
            return 0;
        }
    }
    return 1;
}

static unsigned stripes_of(const aigw_limit_charge_t *charges, int count)
{
    unsigned stripes = 0;
    int i;

    for (i = 0; i < count; i++) {
        stripes |= 1u << stripe_of(charges[i].key);
    }
    return stripes;
}

/* ------------------------------------------------------------------ deciding */

/* Where all entries are in use, whoever is new shares one with others who are: what they may do is bounded all the same, and nobody is forgotten. */
static void others(const aigw_limit_charge_t *charge, unsigned char key[AIGW_LIMIT_KEY])
{
    aigw_limit_key(charge->limit, "", key);
    key[AIGW_LIMIT_KEY - 1] = charge->key[AIGW_LIMIT_KEY - 1]; /* of the stripe that is locked */
}

static aigw_limit_entry_t *entry_of(aigw_limit_charge_t *charge, apr_time_t now)
{
    aigw_limit_table_t *table = table_of(stripe_of(charge->key));
    aigw_limit_entry_t *entry = aigw_limit_table_get(table, charge->key, now);

    if (!entry) {
        others(charge, charge->key);
        entry = aigw_limit_table_get(table, charge->key, now);
    }
    return entry;
}

/* 1 if there is enough. */
static int ask(aigw_limit_charge_t *charge, const aigw_limit_entry_t *entry, apr_time_t now)
{
    const aigw_rate_t *rate = &charge->limit->rate;

    charge->charged = charge->over = 0;
    charge->charged_at = 0;
    if (charge->limit->what == AIGW_LIMIT_CONCURRENT) { /* slots are to come */
        charge->left = rate->amount;
        return 1;
    }
    charge->left = aigw_rate_level(&entry->state, rate, now);
    charge->wait = aigw_rate_wait(&entry->state, rate, now, charge->cost);
    charge->reset = aigw_rate_wait(&entry->state, rate, now, rate->burst);
    charge->over = charge->soft && charge->left < charge->cost;
    return charge->over || charge->left >= charge->cost;
}

static void take(aigw_limit_charge_t *charge, aigw_limit_entry_t *entry, apr_time_t now)
{
    const aigw_rate_t *rate = &charge->limit->rate;

    charge->charged = 1;
    charge->charged_at = now;
    charge->left -= charge->cost;
    aigw_rate_take(&entry->state, rate, now, charge->cost);
    charge->reset = aigw_rate_wait(&entry->state, rate, now, rate->burst);
    entry->idle_from = now + charge->reset;
}

static aigw_limit_answer_e decide(aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    const unsigned stripes = stripes_of(charges, count);
    const apr_time_t now = aigw_clock_now();
    aigw_limit_entry_t *entry;
    sigset_t before;
    int i;

    *refused = -1;
    aigw_signals_hold(&before);
    if (!lock_all(stripes)) {
        aigw_signals_release(&before);
        return AIGW_LIMIT_UNAVAILABLE;
    }
    for (i = 0; i < count; i++) {
        entry = entry_of(&charges[i], now);
        if ((!entry || !ask(&charges[i], entry, now)) && (*refused < 0 || charges[i].wait > charges[*refused].wait)) {
            *refused = i;
        }
    }
    for (i = 0; *refused < 0 && i < count; i++) {
        entry = aigw_limit_table_find(table_of(stripe_of(charges[i].key)), charges[i].key);
        if (entry && !charges[i].over && charges[i].limit->what != AIGW_LIMIT_CONCURRENT) {
            take(&charges[i], entry, now);
        }
    }
    unlock_all(stripes);
    aigw_signals_release(&before);
    return *refused < 0 ? AIGW_LIMIT_YES : AIGW_LIMIT_NO;
}

static void adjust(const aigw_limit_charge_t *charge, apr_int64_t more)
{
    const unsigned stripe = stripe_of(charge->key);
    const apr_time_t now = aigw_clock_now();
    const aigw_rate_t *rate = &charge->limit->rate;
    aigw_limit_entry_t *entry;
    sigset_t before;

    if (!charge->charged_at || !more) {
        return;
    }
    aigw_signals_hold(&before);
    if (lock(stripe)) {
        entry = aigw_limit_table_find(table_of(stripe), charge->key);
        if (entry && more > 0) {
            aigw_rate_take(&entry->state, rate, now, more);
        }
        else if (entry) {
            aigw_rate_give(&entry->state, rate, now, charge->charged_at, -more);
        }
        if (entry) {
            entry->idle_from = now + aigw_rate_wait(&entry->state, rate, now, rate->burst);
        }
        unlock_all(1u << stripe);
    }
    aigw_signals_release(&before);
}

static void settle(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (charges[i].charged) {
            adjust(&charges[i], actual[i] - charges[i].cost);
            charges[i].charged = 0;
        }
    }
}

static void refund(aigw_limit_charge_t *charges, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (charges[i].charged) {
            adjust(&charges[i], -charges[i].cost);
            charges[i].charged = 0;
        }
    }
}

const aigw_limit_store_vt aigw_limit_memory = {"memory", decide, settle, refund};

void aigw_limit_memory_count(apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted)
{
    apr_uint32_t n, of;
    apr_uint64_t gone;
    unsigned i;

    *entries = *used = 0;
    *evicted = 0;
    for (i = 0; memory && i < STRIPES; i++) {
        aigw_limit_table_count(table_of(i), &of, &n, &gone); /* without the lock: a number to look at */
        *entries += of;
        *used += n;
        *evicted += gone;
    }
}
