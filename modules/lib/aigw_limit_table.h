/* What has been used of limits: a table over one block of memory, which processes may share. It is bounded: where it is full, an entry goes that is idle, which is to say that forgetting it makes no
 * difference; one that is not idle never goes. Where there is no room the caller has to do without.
 *
 * Who goes: the entries stand in a circle, and a hand goes round it, as in "clock" paging, which comes near to "least recently used" without touching other entries each time one is used. To make
 * room the hand passes at most 32: the first idle one goes that was not used since the hand was there last, else the first idle one. So the time is bounded, an idle one goes if there is any among
 * the next 32, and where there are idle ones only further on, whoever comes next finds them: after so many new keys as a 32nd of the entries at the latest.
 *
 * Keys are the same on all machines, so anybody can reckon them. The places in the table go by a hash of them under a secret (SipHash), so that nobody can choose keys of one place.
 *
 * Thread: one at a time; the lock is the caller's. Who dies in the middle of a change leaves a table that aigw_limit_table_repair() puts in order; an entry that was being written then is the
 * caller's (aigw_limit_stripe.h). Offsets only, no pointers.
 */
#ifndef AIGW_LIMIT_TABLE_H
#define AIGW_LIMIT_TABLE_H

#include "aigw_rate.h"

#define AIGW_LIMIT_KEY    16 /* bytes: a hash of who and of which limit */
#define AIGW_LIMIT_SECRET 16 /* bytes */
#define AIGW_LIMIT_SPARE  64 /* entries that are kept for aigw_limit_table_get_spare() */

typedef struct aigw_limit_table_t aigw_limit_table_t;

typedef struct aigw_limit_entry_t {
    aigw_rate_state_t state;
    apr_int64_t held;     /* slots that are taken; an entry that holds any is not idle */
    apr_time_t idle_from; /* when nothing that was used counts any more, by the caller's clock; the caller sets it */
} aigw_limit_entry_t;

/* Bytes of a table of so many entries (1 and more) and the spare ones. */
apr_size_t aigw_limit_table_size(apr_uint32_t entries);

/* Makes an empty table. block: of that size, all zeros, aligned to 64 bytes. Memory that was not needed yet is not touched. */
aigw_limit_table_t *aigw_limit_table_init(void *block, apr_uint32_t entries, const unsigned char secret[AIGW_LIMIT_SECRET]);

/* After somebody died who was changing it. */
void aigw_limit_table_repair(aigw_limit_table_t *table);

/* Where a key has its place. What is below 16 bits of it is free for other uses. */
apr_uint64_t aigw_limit_table_hash(const unsigned char key[AIGW_LIMIT_KEY], const unsigned char secret[AIGW_LIMIT_SECRET]);

/* Lets the processor fetch what is needed of that key soon: first the one, without the lock; then, with it, the other. They change nothing. */
void aigw_limit_table_prefetch_head(const aigw_limit_table_t *table, apr_uint64_t hash);
void aigw_limit_table_prefetch_entry(const aigw_limit_table_t *table, apr_uint64_t hash);

/* The entry of that key, of this hash, used now; NULL: there is none. Valid for as long as it is not idle, else until the next aigw_limit_table_get(). */
aigw_limit_entry_t *aigw_limit_table_find(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_uint64_t hash);

/* The same; where there is none, a new one, all zero. NULL: no room. now: microseconds of the caller's clock. */
aigw_limit_entry_t *aigw_limit_table_get(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_uint64_t hash,
                                         apr_time_t now);

/* The same, for the few keys that all those share who found no room. */
aigw_limit_entry_t *aigw_limit_table_get_spare(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_uint64_t hash,
                                               apr_time_t now);

/* An entry's number, 1 and more, and the other way round. */
apr_uint32_t aigw_limit_table_place(const aigw_limit_table_t *table, const aigw_limit_entry_t *entry);
aigw_limit_entry_t *aigw_limit_table_at(const aigw_limit_table_t *table, apr_uint32_t place);

/* How many entries there can be, how many there are, and how many idle ones have gone to make room. */
void aigw_limit_table_count(const aigw_limit_table_t *table, apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted);

#endif
