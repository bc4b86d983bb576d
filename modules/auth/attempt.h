/* One try to log in: whether it may be made, what it costs, and when it is answered. What is known of it is in shared memory of all children, which a restart keeps. */
#ifndef AIGW_AUTH_ATTEMPT_H
#define AIGW_AUTH_ATTEMPT_H

#include <httpd.h>
#include "aigw_throttle.h"

/* How many failures there may be; only failures count. */
typedef struct aigw_attempt_limits_t {
    aigw_throttle_limit_t pair;    /* of one user from one address */
    aigw_throttle_limit_t address; /* from one address; of IPv6, from one /64 */
    aigw_throttle_limit_t user;    /* of one user from anywhere, but for addresses from which he has logged in */
} aigw_attempt_limits_t;

typedef struct aigw_attempt_t {
    const aigw_attempt_limits_t *limits;
    apr_uint64_t pair, address, user, friend; /* keys */
    int is_friend;                            /* this user has logged in from this address before */
    int place;                                /* among those at work, or -1 */
    apr_time_t place_until;
    apr_time_t began; /* by aigw_clock_now() */
} aigw_attempt_t;

typedef enum {
    AIGW_ATTEMPT_MAY,       /* it has been charged for a failure, and holds a place: attempt_end() must follow */
    AIGW_ATTEMPT_THROTTLED, /* there were too many failures */
    AIGW_ATTEMPT_CROWDED    /* so many are at work that there is no place for another */
} aigw_attempt_e;

typedef enum { AIGW_ATTEMPT_FAILED, AIGW_ATTEMPT_SUCCEEDED, AIGW_ATTEMPT_VOID /* nobody could tell */ } aigw_outcome_e;

/* post_config: makes the memory, or takes up what is there. 0, or the reason has been logged. */
int aigw_attempt_post_config(server_rec *s);

/* *wait is set for THROTTLED: how long until there is a try. Whether there is such a user makes no difference. Thread: the owner of r. */
aigw_attempt_e aigw_attempt_begin(aigw_attempt_t *attempt, request_rec *r, const char *user, const aigw_attempt_limits_t *limits,
                                  apr_interval_time_t *wait);

/* How it went. Returns when it is to be answered, by aigw_clock_now(): floor after it began, or as long after it as the slowest check of late has taken, in multiples of
 * floor, and by chance a little later. *risen: this one was so slow that all others will be answered later from now on. */
apr_time_t aigw_attempt_decided(aigw_attempt_t *attempt, aigw_outcome_e outcome, apr_interval_time_t floor, int *risen);

/* Gives its place back. */
void aigw_attempt_end(aigw_attempt_t *attempt);

#endif
