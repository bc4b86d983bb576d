/* Who has failed how often: a table over one block of memory, which processes may share.
 *
 * A limit of N in a period is a bucket of N tries that fills up again evenly: after N failures in a row the next try is free after a period / N. Whoever is
 * about to try is charged first, so that tries at the same time cannot all be the last one, and is given it back if he did not fail.
 *
 * Keys are hashes under a secret, so that nobody can choose who shares a set of AIGW_THROTTLE_WAYS entries with whom. In a set that is full the entry that would
 * be forgotten first goes: one that is at its limit is driven out by nothing but others at theirs.
 *
 * Thread: one at a time; the lock is the caller's. Who dies in the middle of a change leaves a table that can be used as it is. Offsets only, no pointers. */
#ifndef AIGW_THROTTLE_H
#define AIGW_THROTTLE_H

#include <apr_time.h>

#define AIGW_THROTTLE_WAYS   8
#define AIGW_THROTTLE_TRIES  1000                     /* the most of a limit */
#define AIGW_THROTTLE_PERIOD apr_time_from_sec(1)     /* the shortest */
#define AIGW_THROTTLE_LONG   apr_time_from_sec(86400) /* the longest */

typedef struct aigw_throttle_t aigw_throttle_t;

typedef struct aigw_throttle_limit_t {
    int tries; /* 1..AIGW_THROTTLE_TRIES in a period; 0: no limit */
    apr_interval_time_t period;
} aigw_throttle_limit_t;

/* "5/15min": 1 and *limit, or 0. */
int aigw_throttle_limit_parse(const char *text, aigw_throttle_limit_t *limit);

/* Bytes of a table of at least so many entries. */
apr_size_t aigw_throttle_size(apr_uint32_t entries);

/* Makes an empty table. block: of that size, aligned for any type, all zeros. */
aigw_throttle_t *aigw_throttle_init(void *block, apr_uint32_t entries);

/* now, and everything that is a time: microseconds of a clock that never goes back. */

/* 0: there is a try left; or how long until there is one. */
apr_interval_time_t aigw_throttle_wait(const aigw_throttle_t *table, apr_uint64_t key, const aigw_throttle_limit_t *limit, apr_time_t now);

/* Takes one try. */
void aigw_throttle_charge(aigw_throttle_t *table, apr_uint64_t key, const aigw_throttle_limit_t *limit, apr_time_t now);

/* Gives one back. */
void aigw_throttle_refund(aigw_throttle_t *table, apr_uint64_t key, const aigw_throttle_limit_t *limit, apr_time_t now);

/* Gives all back. */
void aigw_throttle_forget(aigw_throttle_t *table, apr_uint64_t key);

/* The same kind of table as a memory of something else: until when a key is remembered; 0: it is not. */
void aigw_throttle_remember(aigw_throttle_t *table, apr_uint64_t key, apr_time_t until, apr_time_t now);
apr_time_t aigw_throttle_until(const aigw_throttle_t *table, apr_uint64_t key, apr_time_t now);

#endif
