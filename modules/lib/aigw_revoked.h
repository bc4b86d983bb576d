/* Tokens that are no longer good although they have not expired: a table over one block of memory, which processes may share.
 *
 * No entry goes before its token has expired by itself: a table that is full says so. Finding is one step, whatever the number of entries.
 *
 * Thread: one at a time; the lock is the caller's. Who dies in the middle of a change leaves a table that aigw_revoked_repair() mends: all entries that had been
 * added are there. Offsets only, no pointers: the block may lie elsewhere in each process. */
#ifndef AIGW_REVOKED_H
#define AIGW_REVOKED_H

#include <apr_errno.h>
#include <apr_time.h>

#define AIGW_REVOKED_ID 32 /* bytes: SHA-256 of issuer and jti */

#define AIGW_REVOKED_MIN 16
#define AIGW_REVOKED_MAX 10000000

typedef struct aigw_revoked_t aigw_revoked_t;

/* Bytes of a table for so many entries. Pages that no entry has come to are not touched. */
apr_size_t aigw_revoked_size(apr_uint32_t capacity);

/* Makes an empty table. block: of that size, aligned for any type, all zeros. */
aigw_revoked_t *aigw_revoked_init(void *block, apr_uint32_t capacity);

/* APR_SUCCESS, also where it is there already; APR_ENOSPC: full of tokens that have not expired at now. Both times: microseconds since 1970. */
apr_status_t aigw_revoked_add(aigw_revoked_t *table, const unsigned char id[AIGW_REVOKED_ID], apr_time_t expires, apr_time_t now);

/* 1 if it was added; also for a while after it has expired. */
int aigw_revoked_have(const aigw_revoked_t *table, const unsigned char id[AIGW_REVOKED_ID]);

/* Adds what is in `from` and has not expired. APR_ENOSPC: there was no room for all. */
apr_status_t aigw_revoked_copy(aigw_revoked_t *to, const aigw_revoked_t *from, apr_time_t now);

/* After somebody died who was changing it. */
void aigw_revoked_repair(aigw_revoked_t *table);

apr_uint32_t aigw_revoked_capacity(const aigw_revoked_t *table);

/* Entries, some of which may have expired. Without the lock it is an approximation, but never 0 while something that was added before is there. */
apr_uint32_t aigw_revoked_count(const aigw_revoked_t *table);

#endif
