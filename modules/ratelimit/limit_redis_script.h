/* The script of the Redis store (limit.lua): what it is told and what it says.
 *
 * Thread: any that may block for Redis's time-outs.
 */
#ifndef AIGW_LIMIT_REDIS_SCRIPT_H
#define AIGW_LIMIT_REDIS_SCRIPT_H

#include "limit_store.h"

/* Behind the prefix: what was used of a limit, or its slots; and its reservations. The number goes up where what is in there changes its form. */
#define AIGW_LIMIT_REDIS_KEY   "l1:"
#define AIGW_LIMIT_REDIS_HOLDS "h1:"

#define AIGW_LIMIT_REDIS_ID 48 /* bytes at most of the name of what is held open, with its NUL */

/* What was charged and is to be renewed, or set right. Plain data that points nowhere but to others of its kind: it outlives the configuration. */
typedef struct aigw_limit_held_t {
    struct aigw_limit_held_t *next;
    apr_uint64_t number; /* aigw_limit_charge_t.hold; 0: nothing is held open */
    char id[AIGW_LIMIT_REDIS_ID];
    aigw_limit_what_e what;
    aigw_rate_t rate;
    unsigned char key[AIGW_LIMIT_KEY];
    apr_int64_t cost, actual;
    apr_time_t charged_at; /* by Redis's clock */
    int maybe;             /* 1: it may have been set right before: there was no answer */
} aigw_limit_held_t;

/* What belongs to a charge: all but number and id. */
void aigw_limit_held_of(aigw_limit_held_t *held, const aigw_limit_charge_t *charge);

/* Asks, and on yes charges all. hold: of a call that is open. id: the name of what is held open then; "": nothing is. lease: microseconds. charges: left, wait, reset, over, charged, charged_at are set. refused: as of aigw_limit_store_decide(); -1: all is charged.
 * An error: there is no answer (of aigw_redis_vt.eval), or APR_EGENERAL: it is none that could be used; was logged. */
apr_status_t aigw_limit_redis_decide(aigw_limit_charge_t *charges, int count, int hold, const char *id, apr_interval_time_t lease,
                                     int *refused, apr_pool_t *p);

/* Sets right what was charged. n: at most AIGW_LIMIT_REDIS_BATCH. */
apr_status_t aigw_limit_redis_settle(aigw_limit_held_t *const *held, int n, apr_pool_t *p);

/* Holds them open for another lease. */
apr_status_t aigw_limit_redis_renew(aigw_limit_held_t *const *held, int n, apr_interval_time_t lease, apr_pool_t *p);

#define AIGW_LIMIT_REDIS_BATCH 64

#endif
