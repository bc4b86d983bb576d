/* What is held open: of each call that goes on, each reservation and each slot, whose process holds it and how to give it back. A ledger over one block of memory, which processes may share.
 *
 * Thread: one at a time; the lock is the caller's. Who dies in the middle of a change leaves a ledger that aigw_limit_ledger_repair() puts in order; a hold that was being written then is the
 * caller's (aigw_limit_stripe.h). Offsets only, no pointers.
 */
#ifndef AIGW_LIMIT_LEDGER_H
#define AIGW_LIMIT_LEDGER_H

#include "aigw_limit_table.h"

typedef struct aigw_limit_ledger_t aigw_limit_ledger_t;

typedef struct aigw_limit_hold_t {
    apr_uint64_t
        id; /* its name, never the same again for as long as anybody may remember; 0: it is free. The caller sets it last, and clears it */
    apr_uint64_t owner; /* an incarnation (aigw_owners.h) */
    unsigned char key[AIGW_LIMIT_KEY];
    apr_int64_t amount;
    apr_time_t charged_at;
    aigw_rate_t rate;  /* of slots all zero */
    apr_uint32_t next; /* the ledger's */
} aigw_limit_hold_t;

/* Bytes of a ledger for so many holds (1 and more). */
apr_size_t aigw_limit_ledger_size(apr_uint32_t holds);

/* Makes an empty one. block: of that size, all zeros, aligned for any type. Memory that was not needed yet is not touched. */
aigw_limit_ledger_t *aigw_limit_ledger_init(void *block, apr_uint32_t holds);

/* After somebody died who was changing it. */
void aigw_limit_ledger_repair(aigw_limit_ledger_t *ledger);

/* How many more it can note. */
apr_uint32_t aigw_limit_ledger_room(const aigw_limit_ledger_t *ledger);

/* A free one, for the caller to fill in, and the id that it gets in the end. There is room. */
aigw_limit_hold_t *aigw_limit_ledger_take(aigw_limit_ledger_t *ledger, apr_uint64_t *id);

/* Back, its id being 0. */
void aigw_limit_ledger_give(aigw_limit_ledger_t *ledger, aigw_limit_hold_t *hold);

/* The one of that id; NULL: it was given back. */
aigw_limit_hold_t *aigw_limit_ledger_find(const aigw_limit_ledger_t *ledger, apr_uint64_t id);

/* One after the other: the first that is held with a number above place, which is set to it; NULL: no more. Begin with 0. */
aigw_limit_hold_t *aigw_limit_ledger_next(const aigw_limit_ledger_t *ledger, apr_uint32_t *place);

/* A hold's number, 1 and more, and the other way round. */
apr_uint32_t aigw_limit_ledger_place(const aigw_limit_ledger_t *ledger, const aigw_limit_hold_t *hold);
aigw_limit_hold_t *aigw_limit_ledger_at(const aigw_limit_ledger_t *ledger, apr_uint32_t place);

#endif
