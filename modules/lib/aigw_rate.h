/* One limit: so much in such a time, by one of two algorithms; and how long spans of time are written for clients.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_RATE_H
#define AIGW_RATE_H

#include <apr_pools.h>
#include "aigw_bucket.h"
#include "aigw_window.h"

typedef enum { AIGW_RATE_SLIDING_WINDOW, AIGW_RATE_TOKEN_BUCKET } aigw_rate_algorithm_e;

typedef struct aigw_rate_t {
    aigw_rate_algorithm_e algorithm;
    apr_int64_t amount;         /* 1..10^12 */
    apr_interval_time_t window; /* microseconds, 1 second to 31 days */
    apr_int64_t burst;          /* what a bucket holds, 1..10^12; of a window the amount */
} aigw_rate_t;

/* What is known of one user, address, … under one rate. All zero: nothing was used. */
typedef struct aigw_rate_state_t {
    union {
        aigw_bucket_t bucket;
        aigw_window_t window;
    } of;
} aigw_rate_state_t;

/* Reads "60/minute": an amount, which may have k or M (1000, 1000000) behind it, and second, minute, hour, day or month (30 days), or s, min, h, d. A sliding window; burst is the amount. NULL, or what is
 * wrong, in p. */
const char *aigw_rate_parse(apr_pool_t *p, const char *text, aigw_rate_t *rate);

/* "60/minute", in p. */
const char *aigw_rate_format(apr_pool_t *p, const aigw_rate_t *rate);

/* As of aigw_bucket.h and aigw_window.h. now: microseconds of any clock, the same one each time. */
apr_int64_t aigw_rate_level(const aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now);
void aigw_rate_take(aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now, apr_int64_t cost);
void aigw_rate_give(aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now, apr_time_t taken_at, apr_int64_t cost);
apr_interval_time_t aigw_rate_wait(const aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now, apr_int64_t cost);

/* A span of time as OpenAI writes it, "12ms", "1s", "1.5s", "6m0s", "1h0m0s", in p: of microseconds, rounded up to milliseconds. */
const char *aigw_rate_duration(apr_pool_t *p, apr_interval_time_t time);

#endif
