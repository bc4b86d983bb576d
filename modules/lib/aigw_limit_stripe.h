/* A table of limits and the ledger of what is held of them, in one block of memory under one lock; what is changed in both is changed in both or in neither, also where the process is killed in the
 * middle of it: how it was before is noted first (an undo journal), and who gets the lock next puts it back.
 *
 * Thread: one at a time; the lock is the caller's. Offsets only, no pointers.
 */
#ifndef AIGW_LIMIT_STRIPE_H
#define AIGW_LIMIT_STRIPE_H

#include "aigw_limit_ledger.h"

typedef struct aigw_limit_stripe_t {
    aigw_limit_table_t *table;
    aigw_limit_ledger_t *ledger;
    struct aigw_limit_journal_t *journal;
} aigw_limit_stripe_t; /* a process's own, with pointers into the block */

apr_size_t aigw_limit_stripe_size(apr_uint32_t entries, apr_uint32_t holds);

/* block: of that size, all zeros, aligned to 64 bytes. */
void aigw_limit_stripe_init(aigw_limit_stripe_t *stripe, void *block, apr_uint32_t entries, apr_uint32_t holds,
                            const unsigned char secret[AIGW_LIMIT_SECRET]);

/* The same for a block that somebody else has made. */
void aigw_limit_stripe_at(aigw_limit_stripe_t *stripe, void *block);

/* Between these two the caller changes this entry and this hold (either may be NULL), and nothing else. */
void aigw_limit_stripe_begin(aigw_limit_stripe_t *stripe, const aigw_limit_entry_t *entry, const aigw_limit_hold_t *hold);
void aigw_limit_stripe_commit(aigw_limit_stripe_t *stripe);

/* After somebody died who had the lock. May die itself. */
void aigw_limit_stripe_repair(aigw_limit_stripe_t *stripe);

#endif
