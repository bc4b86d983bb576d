#include "aigw_limit_stripe.h"

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

void aigw_limit_stripe_begin(aigw_limit_stripe_t *stripe, const aigw_limit_entry_t *entry, const aigw_limit_hold_t *hold)
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

void aigw_limit_stripe_commit(aigw_limit_stripe_t *stripe)
{
    IN_ORDER();
    stripe->journal->valid = 0;
    IN_ORDER();
}

/* Whoever dies in here leaves the journal as it is: the next one does all of it again. */
void aigw_limit_stripe_repair(aigw_limit_stripe_t *stripe)
{
    aigw_limit_journal_t *journal = stripe->journal;

    if (journal->valid) {
        if (journal->entry) {
            *aigw_limit_table_at(stripe->table, journal->entry) = journal->entry_was;
        }
        if (journal->hold) {
            *aigw_limit_ledger_at(stripe->ledger, journal->hold) = journal->hold_was;
        }
        aigw_limit_stripe_commit(stripe);
    }
    aigw_limit_table_repair(stripe->table);
    aigw_limit_ledger_repair(stripe->ledger);
}
