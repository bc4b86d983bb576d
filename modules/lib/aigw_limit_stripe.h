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

/* Charges it. rate: NULL: slots. owner: who holds it, an incarnation: then the hold's id is returned, and there is room in the ledger; 0: nobody does, it is just used. */
apr_uint64_t aigw_limit_stripe_charge(aigw_limit_stripe_t *stripe, aigw_limit_entry_t *entry, const unsigned char key[AIGW_LIMIT_KEY],
                                      const aigw_rate_t *rate, apr_int64_t cost, apr_uint64_t owner, apr_time_t now);

/* Charges more, or below 0 gives back what was charged then, and lets go of the hold. entry: NULL: it has gone, being idle; hold: NULL: none. rate: NULL: slots. */
void aigw_limit_stripe_adjust(aigw_limit_stripe_t *stripe, aigw_limit_entry_t *entry, aigw_limit_hold_t *hold, const aigw_rate_t *rate,
                              apr_int64_t more, apr_time_t charged_at, apr_time_t now);

/* After somebody died who had the lock. May die itself. */
void aigw_limit_stripe_repair(aigw_limit_stripe_t *stripe);

#endif
