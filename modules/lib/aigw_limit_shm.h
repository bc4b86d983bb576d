/* Limits in memory that processes share: a decision over several of them, and what calls that are open hold of them. Striped: a limit of somebody is in one of sixteen parts, each with a robust lock.
 *
 * What is exact: each limit is, whoever is killed at whatever moment. What is held open is given back as soon as the process that held it is gone: before anything of a call is refused for want of
 * it (at most 10 ms late), and within a second of use otherwise. What is charged without being held, for a request, stays charged.
 *
 * Locks, in this order: the owners', then stripes by their numbers. Nobody who has a stripe asks for the owners'.
 *
 * Thread: any, unless said otherwise. Time is an argument: microseconds of a clock that all processes share and that is never set back. A time that is behind another's, who came first, counts as
 * that one.
 */
#ifndef AIGW_LIMIT_SHM_H
#define AIGW_LIMIT_SHM_H

#include "aigw_limit_table.h"

#define AIGW_LIMIT_COUNTS_MAX 64 /* of one decision */

typedef struct aigw_limit_shm_t aigw_limit_shm_t; /* a process's own; children inherit it */

/* One limit of somebody. */
typedef struct aigw_limit_count_t {
    const aigw_rate_t *rate;
    unsigned char key[AIGW_LIMIT_KEY];
    apr_int64_t cost;          /* 0: asked, not charged */
  unsigned slots : 1;          /* rate->amount of them at a time, nothing else of the rate counts */
    unsigned soft : 1;         /* where there is not enough it is not charged, and does not refuse */
    unsigned spare : 1;        /* one of the keys that those share who found no room */
    unsigned over : 1;         /* out: a soft one for which there was not enough */
    unsigned charged : 1;      /* out */
    apr_int64_t left;          /* out: after charging */
    apr_interval_time_t wait;  /* out: until the cost would be there; 0: it was, or (slots) nobody knows */
    apr_interval_time_t reset; /* out: until all is there; slots: 0 */
    apr_time_t charged_at;     /* out */
    apr_uint64_t hold;         /* out: 0: nothing is held */
    apr_uint64_t hash;         /* while it decides: of the key */
    aigw_limit_entry_t *entry; /* the same */
} aigw_limit_count_t;

typedef enum {
    AIGW_LIMIT_SHM_YES,
    AIGW_LIMIT_SHM_NO,      /* which: the one that refuses longest */
    AIGW_LIMIT_SHM_FULL,    /* which: there is no room to count it */
    AIGW_LIMIT_SHM_HOLDS,   /* which: there is no room to note that it is held */
    AIGW_LIMIT_SHM_NOBODY,  /* to be held, but this process has not joined, or is dead to the others */
    AIGW_LIMIT_SHM_UNLOCKED /* a lock failed */
} aigw_limit_shm_answer_e;

/* What happened, for the log. Called with locks held: it must not come back. */
typedef enum {
    AIGW_LIMIT_SHM_MENDED,     /* somebody died who had a lock */
    AIGW_LIMIT_SHM_CANNOT_LOCK /* rv says why */
} aigw_limit_shm_news_e;
typedef void (*aigw_limit_shm_tell_fn)(aigw_limit_shm_news_e news, apr_status_t rv);

/* entries: how many limits of somebody; processes: how many join at a time. Each stripe can note a quarter of the entries as held, 256 to 65536: the open calls of one user. process: the pool of
 * the main process. Before there are children. */
apr_status_t aigw_limit_shm_make(aigw_limit_shm_t **shm, apr_uint32_t entries, apr_uint32_t processes,
                                 const unsigned char secret[AIGW_LIMIT_SECRET], apr_pool_t *process);

/* Gives the memory back in this process; children that still have it keep it. */
void aigw_limit_shm_drop(aigw_limit_shm_t *shm);

/* Before there are children and threads. NULL: nobody is told. */
void aigw_limit_shm_tell(aigw_limit_shm_t *shm, aigw_limit_shm_tell_fn tell);

/* A child, by its main thread. APR_ENOSPC: too many have joined; it can decide what is not held. */
apr_status_t aigw_limit_shm_join(aigw_limit_shm_t *shm, apr_time_t now);

/* The same thread, in the end: what is still held is given back. */
void aigw_limit_shm_leave(aigw_limit_shm_t *shm);

/* Yes: all are charged; else none. hold: until they are settled; where this process ends before that they are given back. */
aigw_limit_shm_answer_e aigw_limit_shm_decide(aigw_limit_shm_t *shm, aigw_limit_count_t *counts, int n, int hold, apr_time_t now,
                                              int *which);

/* One that was charged: it was really so much; less is given back, more is owed, slots are given back. Nothing where it was given back already. */
void aigw_limit_shm_settle(aigw_limit_shm_t *shm, aigw_limit_count_t *count, apr_int64_t actual, apr_time_t now);

/* Gives back what the dead hold, now. It comes by itself where decisions are asked for. */
void aigw_limit_shm_reap(aigw_limit_shm_t *shm, apr_time_t now);

typedef struct aigw_limit_shm_sums_t {
    apr_uint32_t entries, used;     /* limits of somebody: how many there can be, and are */
    apr_uint64_t evicted;           /* idle ones that went to make room */
    apr_uint32_t holds_max, holds;  /* noted: of all stripes together */
    apr_int64_t slots, reserved;    /* held open: slots, and tokens */
    apr_uint64_t reaped, mended;    /* holds of the dead given back; times that a table was put in order */
    apr_uint32_t processes, living; /* how many can join, and have */
} aigw_limit_shm_sums_t;

/* Each stripe is exact, one after the other. 0: a lock failed. */
int aigw_limit_shm_sums(aigw_limit_shm_t *shm, aigw_limit_shm_sums_t *sums);

#endif
