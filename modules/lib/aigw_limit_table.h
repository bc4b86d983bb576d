/* What has been used of limits: a table over one block of memory, which processes may share. Of the entries that have been used least recently those go first that are idle, which is to say that
 * forgetting them makes no difference; one that is not idle never goes. Where all are active there is no room, and the caller has to do without.
 *
 * Thread: one at a time; the lock is the caller's. Who dies in the middle of a change leaves a table that aigw_limit_table_repair() puts in order. Offsets only, no pointers.
 */
#ifndef AIGW_LIMIT_TABLE_H
#define AIGW_LIMIT_TABLE_H

#include "aigw_rate.h"

#define AIGW_LIMIT_KEY 16 /* bytes: a hash of who and of which limit, under a secret, so that nobody can choose collisions */

typedef struct aigw_limit_table_t aigw_limit_table_t;

typedef struct aigw_limit_entry_t {
    aigw_rate_state_t state;
    apr_int64_t held;     /* slots that are taken; an entry that holds any is not idle */
    apr_time_t idle_from; /* when nothing that was used counts any more, by the caller's clock; the caller sets it */
} aigw_limit_entry_t;

/* Bytes of a table of so many entries (1 and more). */
apr_size_t aigw_limit_table_size(apr_uint32_t entries);

/* Makes an empty table. block: of that size, aligned for any type. */
aigw_limit_table_t *aigw_limit_table_init(void *block, apr_uint32_t entries);

/* After somebody died who was changing it. */
void aigw_limit_table_repair(aigw_limit_table_t *table);

/* The entry of that key, used now; NULL: there is none. Valid until the next aigw_limit_table_get(). */
aigw_limit_entry_t *aigw_limit_table_find(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY]);

/* The same; where there is none, a new one, all zero. NULL: no room. now: microseconds of the caller's clock. */
aigw_limit_entry_t *aigw_limit_table_get(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_time_t now);

/* How many entries there can be, how many there are, and how many idle ones have gone to make room. */
void aigw_limit_table_count(const aigw_limit_table_t *table, apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted);

#endif
