#include "aigw_limit_shm.h"
#include "aigw_limit_stripe.h"
#include "aigw_owners.h"
#include "aigw_shared.h"

#include <string.h>

#define STRIPES     16
#define HOLDS_MIN   256
#define HOLDS_MAX   65536
#define LINE        64
#define REAP_EACH   APR_USEC_PER_SEC
#define REAP_REFUSE apr_time_from_msec(10)

/* Of a stripe, before what aigw_limit_stripe_t is of. */
typedef struct stripe_head_t {
    apr_uint64_t reaped, mended;
    apr_time_t latest; /* when it was changed last */
} stripe_head_t;

/* Of all, before the owners. */
typedef struct common_t {
    apr_time_t reaped_at;
} common_t;

struct aigw_limit_shm_t {
    aigw_shared_t *stripes[STRIPES], *owners_memory;
    aigw_limit_stripe_t of[STRIPES];
    aigw_owners_t *owners;
    unsigned char secret[AIGW_LIMIT_SECRET];
    apr_uint32_t processes, holds; /* holds: of a stripe */
    aigw_limit_shm_tell_fn tell;
    apr_uint32_t place; /* this process's */
    apr_uint64_t incarnation;
};

static stripe_head_t *head_of(const aigw_limit_shm_t *shm, unsigned stripe)
{
    return aigw_shared_data(shm->stripes[stripe]);
}

static common_t *common_of(const aigw_limit_shm_t *shm)
{
    return aigw_shared_data(shm->owners_memory);
}

/* ------------------------------------------------------------------ the main process */

static apr_status_t make_stripe(aigw_limit_shm_t *shm, unsigned i, apr_uint32_t entries, apr_pool_t *process)
{
    apr_status_t rv = aigw_shared_make(&shm->stripes[i], LINE + aigw_limit_stripe_size(entries, shm->holds), process);

    if (rv == APR_SUCCESS) {
        aigw_limit_stripe_init(&shm->of[i], (char *)aigw_shared_data(shm->stripes[i]) + LINE, entries, shm->holds, shm->secret);
    }
    return rv;
}

static apr_status_t make_owners(aigw_limit_shm_t *shm, apr_pool_t *process)
{
    apr_status_t rv = aigw_shared_make(&shm->owners_memory, LINE + aigw_owners_size(shm->processes), process);

    if (rv == APR_SUCCESS) {
        rv = aigw_owners_init(&shm->owners, (char *)aigw_shared_data(shm->owners_memory) + LINE, shm->processes);
    }
    return rv;
}

apr_status_t aigw_limit_shm_make(aigw_limit_shm_t **made, apr_uint32_t entries, apr_uint32_t processes,
                                 const unsigned char secret[AIGW_LIMIT_SECRET], apr_pool_t *process)
{
    aigw_limit_shm_t *shm = apr_pcalloc(process, sizeof *shm);
    apr_status_t rv;
    unsigned i;

    memcpy(shm->secret, secret, AIGW_LIMIT_SECRET);
    shm->processes = processes;
    shm->holds = entries / 4 < HOLDS_MIN ? HOLDS_MIN : entries / 4 > HOLDS_MAX ? HOLDS_MAX : entries / 4;
    rv = make_owners(shm, process);
    for (i = 0; rv == APR_SUCCESS && i < STRIPES; i++) {
        rv = make_stripe(shm, i, (entries + STRIPES - 1) / STRIPES, process);
    }
    if (rv != APR_SUCCESS) {
        aigw_limit_shm_drop(shm);
        return rv;
    }
    *made = shm;
    return APR_SUCCESS;
}

void aigw_limit_shm_drop(aigw_limit_shm_t *shm)
{
    unsigned i;

    for (i = 0; i < STRIPES; i++) {
        if (shm->stripes[i]) {
            aigw_shared_drop(shm->stripes[i]);
        }
    }
    if (shm->owners_memory) {
        aigw_shared_drop(shm->owners_memory);
    }
}

void aigw_limit_shm_tell(aigw_limit_shm_t *shm, aigw_limit_shm_tell_fn tell)
{
    shm->tell = tell;
}

/* ------------------------------------------------------------------ locks */

static void tell(const aigw_limit_shm_t *shm, aigw_limit_shm_news_e news, apr_status_t rv)
{
    if (shm->tell) {
        shm->tell(news, rv);
    }
}

static int lock(aigw_limit_shm_t *shm, unsigned stripe)
{
    apr_status_t rv = aigw_shared_lock(shm->stripes[stripe]);

    if (rv == APR_INCOMPLETE) {
        aigw_limit_stripe_repair(&shm->of[stripe]);
        head_of(shm, stripe)->mended++;
        tell(shm, AIGW_LIMIT_SHM_MENDED, 0);
        return 1;
    }
    if (rv != APR_SUCCESS) {
        tell(shm, AIGW_LIMIT_SHM_CANNOT_LOCK, rv);
    }
    return rv == APR_SUCCESS;
}

static void unlock(aigw_limit_shm_t *shm, unsigned stripe)
{
    aigw_shared_unlock(shm->stripes[stripe]);
}

static void unlock_all(aigw_limit_shm_t *shm, unsigned stripes)
{
    unsigned i;

    for (i = 0; i < STRIPES; i++) {
        if (stripes & (1u << i)) {
            unlock(shm, i);
        }
    }
}

static int lock_all(aigw_limit_shm_t *shm, unsigned stripes)
{
    unsigned i;

    for (i = 0; i < STRIPES; i++) {
        if ((stripes & (1u << i)) && !lock(shm, i)) {
            unlock_all(shm, stripes & ((1u << i) - 1));
            return 0;
        }
    }
    return 1;
}

/* Of stripes that are locked. Who waited for a lock comes with an older time than who had it meanwhile: to the limits that would be a clock that steps back, and forward again with the next one,
 * each time a little too much is forgotten, and all together is many times the limit. */
static apr_time_t not_before(const aigw_limit_shm_t *shm, unsigned stripes, apr_time_t now)
{
    unsigned i;

    for (i = 0; i < STRIPES; i++) {
        if ((stripes & (1u << i)) && head_of(shm, i)->latest > now) {
            now = head_of(shm, i)->latest;
        }
    }
    for (i = 0; i < STRIPES; i++) {
        if (stripes & (1u << i)) {
            head_of(shm, i)->latest = now;
        }
    }
    return now;
}

/* By the secret, too: else somebody could fill one stripe. */
static unsigned stripe_of(apr_uint64_t hash)
{
    return (unsigned)(hash % STRIPES);
}

static apr_uint64_t hash_of(const aigw_limit_shm_t *shm, const unsigned char *key)
{
    return aigw_limit_table_hash(key, shm->secret);
}

/* ------------------------------------------------------------------ one limit. Its stripe is locked */

static apr_int64_t level(const aigw_limit_count_t *count, apr_time_t now)
{
    const aigw_limit_entry_t *entry = count->entry;

    if (!count->slots) {
        return aigw_rate_level(&entry->state, count->rate, now);
    }
    return count->rate->amount > entry->held ? count->rate->amount - entry->held : 0;
}

static apr_interval_time_t wait_for(const aigw_limit_count_t *count, apr_int64_t cost, apr_time_t now)
{
    return count->slots ? 0 : aigw_rate_wait(&count->entry->state, count->rate, now, cost);
}

static void charge(aigw_limit_shm_t *shm, aigw_limit_count_t *count, int hold, apr_time_t now)
{
    aigw_limit_stripe_t *stripe = &shm->of[stripe_of(count->hash)];

    count->hold = aigw_limit_stripe_charge(stripe, count->entry, count->key, count->slots ? NULL : count->rate, count->cost,
                                           hold ? shm->incarnation : 0, now);
    count->charged = 1;
    count->charged_at = now;
    count->left -= count->cost;
    count->reset = count->slots ? 0 : count->entry->idle_from - now;
}

/* ------------------------------------------------------------------ deciding */

/* And what is needed of memory is under way. */
static unsigned stripes_of(const aigw_limit_shm_t *shm, aigw_limit_count_t *counts, int n)
{
    unsigned stripes = 0;
    int i;

    for (i = 0; i < n; i++) {
        counts[i].hash = hash_of(shm, counts[i].key);
        counts[i].entry = NULL;
        stripes |= 1u << stripe_of(counts[i].hash);
        aigw_limit_table_prefetch_head(shm->of[stripe_of(counts[i].hash)].table, counts[i].hash);
    }
    return stripes;
}

/* 0: there is no room for it. What is found or made stays where it is until all is decided: it is not idle before then. */
static int look(aigw_limit_shm_t *shm, aigw_limit_count_t *count, apr_time_t now)
{
    aigw_limit_table_t *table = shm->of[stripe_of(count->hash)].table;
    aigw_limit_entry_t *entry = (count->spare ? aigw_limit_table_get_spare : aigw_limit_table_get)(table, count->key, count->hash, now);

    count->over = count->charged = 0;
    count->charged_at = count->wait = count->reset = 0;
    count->hold = 0;
    count->left = 0;
    count->entry = entry;
    if (!entry) {
        return 0;
    }
    if (entry->idle_from <= now) {
        entry->idle_from = now + 1;
    }
    count->left = level(count, now);
    return 1;
}

static aigw_limit_shm_answer_e ask(aigw_limit_shm_t *shm, aigw_limit_count_t *counts, int n, int hold, apr_time_t now, int *which)
{
    apr_uint32_t needed[STRIPES] = {0};
    aigw_limit_shm_answer_e answer = AIGW_LIMIT_SHM_YES;
    int i;

    for (i = 0; i < n; i++) {
        aigw_limit_table_prefetch_entry(shm->of[stripe_of(counts[i].hash)].table, counts[i].hash);
    }
    for (i = 0; i < n; i++) {
        aigw_limit_count_t *count = &counts[i];
        const unsigned stripe = stripe_of(count->hash);

        if (!look(shm, count, now)) {
            *which = i;
            return AIGW_LIMIT_SHM_FULL;
        }
        if (count->left >= count->cost) {
            if (answer == AIGW_LIMIT_SHM_YES && hold && count->cost && ++needed[stripe] > aigw_limit_ledger_room(shm->of[stripe].ledger)) {
                answer = AIGW_LIMIT_SHM_HOLDS;
                *which = i;
            }
            continue;
        }
        count->wait = wait_for(count, count->cost, now);
        if (count->soft) {
            count->over = 1;
        }
        else if (answer != AIGW_LIMIT_SHM_NO || count->wait > counts[*which].wait) {
            answer = AIGW_LIMIT_SHM_NO;
            *which = i;
        }
    }
    return answer;
}

static aigw_limit_shm_answer_e decide_locked(aigw_limit_shm_t *shm, aigw_limit_count_t *counts, int n, int hold, apr_time_t now, int *which)
{
    aigw_limit_shm_answer_e answer;
    int i;

    /* under a stripe's lock, so that who buries this process finds what it notes, or it notes nothing more */
    if (hold && !aigw_owners_lives(shm->owners, shm->place, shm->incarnation)) {
        return AIGW_LIMIT_SHM_NOBODY;
    }
    answer = ask(shm, counts, n, hold, now, which);
    for (i = 0; i < n && counts[i].entry; i++) {
        if (answer == AIGW_LIMIT_SHM_YES && counts[i].cost && !counts[i].over) {
            charge(shm, &counts[i], hold, now);
        }
        else {
            counts[i].reset = wait_for(&counts[i], counts[i].rate->burst, now);
        }
    }
    return answer;
}

/* 1: it is the caller's turn to look who is dead. */
static int is_due(const aigw_limit_shm_t *shm, apr_interval_time_t each, apr_time_t now)
{
    apr_time_t *at = &common_of(shm)->reaped_at, last = __atomic_load_n(at, __ATOMIC_RELAXED);

    return now - last >= each && __atomic_compare_exchange_n(at, &last, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static aigw_limit_shm_answer_e decide_once(aigw_limit_shm_t *shm, aigw_limit_count_t *counts, int n, int hold, apr_time_t now, int *which)
{
    const unsigned stripes = stripes_of(shm, counts, n);
    aigw_limit_shm_answer_e answer;

    *which = -1;
    if (!lock_all(shm, stripes)) {
        return AIGW_LIMIT_SHM_UNLOCKED;
    }
    answer = decide_locked(shm, counts, n, hold, not_before(shm, stripes, now), which);
    unlock_all(shm, stripes);
    return answer;
}

aigw_limit_shm_answer_e aigw_limit_shm_decide(aigw_limit_shm_t *shm, aigw_limit_count_t *counts, int n, int hold, apr_time_t now,
                                              int *which)
{
    aigw_limit_shm_answer_e answer;

    if (is_due(shm, REAP_EACH, now)) {
        aigw_limit_shm_reap(shm, now);
    }
    answer = decide_once(shm, counts, n, hold, now, which);
    if (hold && (answer == AIGW_LIMIT_SHM_NO || answer == AIGW_LIMIT_SHM_HOLDS) && is_due(shm, REAP_REFUSE, now)) {
        aigw_limit_shm_reap(shm, now);
        answer = decide_once(shm, counts, n, hold, now, which);
    }
    return answer;
}

void aigw_limit_shm_settle(aigw_limit_shm_t *shm, aigw_limit_count_t *count, apr_int64_t actual, apr_time_t now)
{
    const apr_uint64_t hash = hash_of(shm, count->key);
    const unsigned i = stripe_of(hash);
    aigw_limit_stripe_t *stripe = &shm->of[i];
    const apr_int64_t more = count->slots ? -count->cost : actual - count->cost;
    aigw_limit_entry_t *entry;
    aigw_limit_hold_t *hold = NULL;

    if (!count->charged) {
        return;
    }
    count->charged = 0;
    if ((!more && !count->hold) || !lock(shm, i)) {
        return;
    }
    if (count->hold) {
        hold = aigw_limit_ledger_find(stripe->ledger, count->hold);
    }
    if (!count->hold || (hold && hold->owner == shm->incarnation)) {
        now = not_before(shm, 1u << i, now);
        entry =
            more > 0 ? aigw_limit_table_get(stripe->table, count->key, hash, now) : aigw_limit_table_find(stripe->table, count->key, hash);
        aigw_limit_stripe_adjust(stripe, entry, hold, count->slots ? NULL : count->rate, more, count->charged_at, now);
    }
    unlock(shm, i);
}

/* ------------------------------------------------------------------ the dead */

static int reap_stripe(aigw_limit_shm_t *shm, unsigned i, apr_uint64_t incarnation, apr_time_t now)
{
    aigw_limit_stripe_t *stripe = &shm->of[i];
    aigw_limit_hold_t *hold;
    apr_uint32_t place = 0;

    if (!lock(shm, i)) {
        return 0;
    }
    now = not_before(shm, 1u << i, now);
    while ((hold = aigw_limit_ledger_next(stripe->ledger, &place))) {
        if (hold->owner == incarnation) {
            aigw_limit_stripe_adjust(stripe, aigw_limit_table_find(stripe->table, hold->key, hash_of(shm, hold->key)), hold,
                                     hold->rate.window ? &hold->rate : NULL, -hold->amount, hold->charged_at, now);
            head_of(shm, i)->reaped++;
        }
    }
    unlock(shm, i);
    return 1;
}

static int reap_all(aigw_limit_shm_t *shm, apr_uint64_t incarnation, apr_time_t now)
{
    unsigned i = 0;

    while (i < STRIPES && reap_stripe(shm, i, incarnation, now)) {
        i++;
    }
    return i == STRIPES;
}

/* Who dies while it does this leaves the rest to the next one: the place is free when all is given back. */
static void reap_locked(aigw_limit_shm_t *shm, apr_time_t now)
{
    apr_uint32_t place;

    for (place = 0; place < aigw_owners_places(shm->owners); place++) {
        const apr_uint64_t incarnation = aigw_owners_dead(shm->owners, place);

        if (incarnation && reap_all(shm, incarnation, now)) {
            aigw_owners_bury(shm->owners, place);
        }
    }
}

static int lock_owners(aigw_limit_shm_t *shm)
{
    const apr_status_t rv = aigw_shared_lock(shm->owners_memory);

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) { /* what is done under this lock can always be gone on with */
        tell(shm, AIGW_LIMIT_SHM_CANNOT_LOCK, rv);
        return 0;
    }
    return 1;
}

void aigw_limit_shm_reap(aigw_limit_shm_t *shm, apr_time_t now)
{
    if (lock_owners(shm)) {
        reap_locked(shm, now);
        aigw_shared_unlock(shm->owners_memory);
    }
}

apr_status_t aigw_limit_shm_join(aigw_limit_shm_t *shm, apr_time_t now)
{
    apr_status_t rv = APR_EGENERAL;

    if (lock_owners(shm)) {
        reap_locked(shm, now);
        rv = aigw_owners_join(shm->owners, &shm->place, &shm->incarnation);
        aigw_shared_unlock(shm->owners_memory);
    }
    return rv;
}

void aigw_limit_shm_leave(aigw_limit_shm_t *shm)
{
    if (shm->incarnation) {
        aigw_owners_leave(shm->owners, shm->place);
    }
}

/* ------------------------------------------------------------------ to look at */

static void add_stripe(const aigw_limit_shm_t *shm, unsigned i, aigw_limit_shm_sums_t *sums)
{
    const aigw_limit_stripe_t *stripe = &shm->of[i];
    const aigw_limit_hold_t *hold;
    apr_uint32_t entries, used, place = 0;
    apr_uint64_t evicted;

    aigw_limit_table_count(stripe->table, &entries, &used, &evicted);
    sums->entries += entries;
    sums->used += used;
    sums->evicted += evicted;
    sums->reaped += head_of(shm, i)->reaped;
    sums->mended += head_of(shm, i)->mended;
    sums->holds_max += shm->holds;
    while ((hold = aigw_limit_ledger_next(stripe->ledger, &place))) {
        sums->holds++;
        *(hold->rate.window ? &sums->reserved : &sums->slots) += hold->amount;
    }
}

int aigw_limit_shm_sums(aigw_limit_shm_t *shm, aigw_limit_shm_sums_t *sums)
{
    unsigned i;

    memset(sums, 0, sizeof *sums);
    for (i = 0; i < STRIPES; i++) {
        if (!lock(shm, i)) {
            return 0;
        }
        add_stripe(shm, i, sums);
        unlock(shm, i);
    }
    sums->processes = shm->processes;
    sums->living = aigw_owners_count(shm->owners);
    return 1;
}
