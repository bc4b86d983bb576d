/* Which processes live, as long as what they hold in shared memory matters. Each has a place and a number that no process ever has again (its incarnation: process IDs are used again). As long as it
 * lives, its main thread has a robust mutex locked: however it ends (kill -9, a crash, exit()), the kernel lets go of it that moment, and whoever asks next is told. Nobody has to watch.
 *
 * A block of memory that processes share. Thread: joining and burying, one at a time: the lock is the caller's; aigw_owners_lives() any.
 */
#ifndef AIGW_OWNERS_H
#define AIGW_OWNERS_H

#include <apr_errno.h>

typedef struct aigw_owners_t aigw_owners_t;

/* Bytes for so many processes at a time. */
apr_size_t aigw_owners_size(apr_uint32_t places);

/* block: of that size, all zeros, aligned for any type. */
apr_status_t aigw_owners_init(aigw_owners_t **owners, void *block, apr_uint32_t places);

/* This process. Only a thread that lives as long as the process does; the block must stay mapped until aigw_owners_leave() or the end. APR_ENOSPC: no place. */
apr_status_t aigw_owners_join(aigw_owners_t *owners, apr_uint32_t *place, apr_uint64_t *incarnation);

/* By the thread that joined. From now on it is dead. */
void aigw_owners_leave(aigw_owners_t *owners, apr_uint32_t place);

/* 1: it lives, and nobody has begun to bury it. */
int aigw_owners_lives(const aigw_owners_t *owners, apr_uint32_t place, apr_uint64_t incarnation);

/* The number of places that have ever been taken: they are below it. */
apr_uint32_t aigw_owners_places(const aigw_owners_t *owners);

/* The incarnation that died at that place and was not buried yet; 0: it lives, or nobody is there. From now on aigw_owners_lives() denies it. */
apr_uint64_t aigw_owners_dead(aigw_owners_t *owners, apr_uint32_t place);

/* How many there are that are not buried. A number to look at. */
apr_uint32_t aigw_owners_count(const aigw_owners_t *owners);

/* Nothing of its is left: the place is free. */
void aigw_owners_bury(aigw_owners_t *owners, apr_uint32_t place);

#endif
