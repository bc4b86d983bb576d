#include "aigw_limit_stripe.h"

#include <string.h>

#define LINE 64

/* A process may be killed behind any instruction; what it had written by then, others see. So the compiler alone must keep the order. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

typedef struct aigw_limit_journal_t {
    volatile apr_uint32_t valid; /* 1: this is how it was before a change that is not over. Set last, cleared last */
    apr_uint32_t entry, hold;    /* their places; 0: none */
    apr_uint32_t entries, holds; /* how many there are. Constant */
    aigw_limit_entry_t entry_was;
    aigw_limit_hold_t hold_was;
} aigw_limit_journal_t;

static apr_size_t table_at(void)
{
    return APR_ALIGN(sizeof(aigw_limit_journal_t), LINE);
}

static apr_size_t ledger_at(apr_uint32_t entries)
{
    return table_at() + APR_ALIGN(aigw_limit_table_size(entries), LINE);
}

apr_size_t aigw_limit_stripe_size(apr_uint32_t entries, apr_uint32_t holds)
{
    return ledger_at(entries) + aigw_limit_ledger_size(holds);
}

void aigw_limit_stripe_at(aigw_limit_stripe_t *stripe, void *block)
{
    stripe->journal = block;
    stripe->table = (aigw_limit_table_t *)((char *)block + table_at());
    stripe->ledger = (aigw_limit_ledger_t *)((char *)block + ledger_at(stripe->journal->entries));
}

void aigw_limit_stripe_init(aigw_limit_stripe_t *stripe, void *block, apr_uint32_t entries, apr_uint32_t holds,
                            const unsigned char secret[AIGW_LIMIT_SECRET])
{
    aigw_limit_journal_t *journal = block;

    journal->entries = entries;
    journal->holds = holds;
    aigw_limit_stripe_at(stripe, block);
    aigw_limit_table_init(stripe->table, entries, secret);
    aigw_limit_ledger_init(stripe->ledger, holds);
}

/* ------------------------------------------------------------------ changing both, or neither */

/* Between these two this entry and this hold (either may be NULL) are changed, and nothing else. */
static void begin(aigw_limit_stripe_t *stripe, const aigw_limit_entry_t *entry, const aigw_limit_hold_t *hold)
{
    aigw_limit_journal_t *journal = stripe->journal;

    journal->entry = entry ? aigw_limit_table_place(stripe->table, entry) : 0;
    journal->hold = hold ? aigw_limit_ledger_place(stripe->ledger, hold) : 0;
    if (entry) {
        journal->entry_was = *entry;
    }
    if (hold) {
        journal->hold_was = *hold;
    }
    IN_ORDER();
    journal->valid = 1;
    IN_ORDER();
}

static void commit(aigw_limit_stripe_t *stripe)
{
    IN_ORDER();
    stripe->journal->valid = 0;
    IN_ORDER();
}

static void fill(aigw_limit_hold_t *hold, apr_uint64_t id, const unsigned char *key, const aigw_rate_t *rate, apr_int64_t cost,
                 apr_uint64_t owner, apr_time_t now)
{
    hold->owner = owner;
    memcpy(hold->key, key, AIGW_LIMIT_KEY);
    hold->amount = cost;
    hold->charged_at = now;
    memset(&hold->rate, 0, sizeof hold->rate);
    if (rate) {
        hold->rate = *rate;
    }
    hold->id = id;
}

apr_uint64_t aigw_limit_stripe_charge(aigw_limit_stripe_t *stripe, aigw_limit_entry_t *entry, const unsigned char key[AIGW_LIMIT_KEY],
                                      const aigw_rate_t *rate, apr_int64_t cost, apr_uint64_t owner, apr_time_t now)
{
    apr_uint64_t id = 0;
    aigw_limit_hold_t *hold = owner ? aigw_limit_ledger_take(stripe->ledger, &id) : NULL;

    begin(stripe, entry, hold);
    if (hold) {
        fill(hold, id, key, rate, cost, owner, now);
    }
    if (rate) {
        aigw_rate_take(&entry->state, rate, now, cost);
        entry->idle_from = now + aigw_rate_wait(&entry->state, rate, now, rate->burst);
    }
    else {
        entry->held += cost;
    }
    commit(stripe);
    return id;
}

static void change(aigw_limit_entry_t *entry, const aigw_rate_t *rate, apr_int64_t more, apr_time_t charged_at, apr_time_t now)
{
    if (!rate) {
        entry->held = entry->held + more > 0 ? entry->held + more : 0;
        return;
    }
    if (more > 0) {
        aigw_rate_take(&entry->state, rate, now, more);
    }
    else {
        aigw_rate_give(&entry->state, rate, now, charged_at, -more);
    }
    entry->idle_from = now + aigw_rate_wait(&entry->state, rate, now, rate->burst);
}

void aigw_limit_stripe_adjust(aigw_limit_stripe_t *stripe, aigw_limit_entry_t *entry, aigw_limit_hold_t *hold, const aigw_rate_t *rate,
                              apr_int64_t more, apr_time_t charged_at, apr_time_t now)
{
    begin(stripe, entry, hold);
    if (entry && more) {
        change(entry, rate, more, charged_at, now);
    }
    if (hold) {
        hold->id = 0;
    }
    commit(stripe);
    if (hold) {
        aigw_limit_ledger_give(stripe->ledger, hold);
    }
}

/* ------------------------------------------------------------------ mending */

/* Whoever dies in here leaves the journal as it is: the next one does all of it again. */
void aigw_limit_stripe_repair(aigw_limit_stripe_t *stripe)
{
    const aigw_limit_journal_t *journal = stripe->journal;

    if (journal->valid) {
        if (journal->entry) {
            *aigw_limit_table_at(stripe->table, journal->entry) = journal->entry_was;
        }
        if (journal->hold) {
            *aigw_limit_ledger_at(stripe->ledger, journal->hold) = journal->hold_was;
        }
        commit(stripe);
    }
    aigw_limit_table_repair(stripe->table);
    aigw_limit_ledger_repair(stripe->ledger);
}
