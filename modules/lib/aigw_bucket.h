/* Token bucket: amount a window flows in, at most burst is in it. Kept as the time at which it would be full (the generic cell rate algorithm, ITU-T I.371), in
 * nanoseconds; what does not divide is rounded so that never more than the limit is let through.
 *
 * Thread: any; no state of its own. Who shares a bucket locks it.
 */
#ifndef AIGW_BUCKET_H
#define AIGW_BUCKET_H

#include <apr.h>
#include <apr_time.h>

#define AIGW_BUCKET_AMOUNT_MAX APR_INT64_C(1000000000000)

typedef struct aigw_bucket_rate_t {
    apr_int64_t amount;         /* 1..AIGW_BUCKET_AMOUNT_MAX */
    apr_interval_time_t window; /* microseconds, 1 second to 31 days */
    apr_int64_t burst;          /* 1..AIGW_BUCKET_AMOUNT_MAX */
} aigw_bucket_rate_t;

/* All zero: full. */
typedef struct aigw_bucket_t {
    apr_int64_t full_at; /* nanoseconds of the caller's clock */
    apr_time_t last;     /* when it was changed last, microseconds of the same */
} aigw_bucket_t;

/* now: microseconds since some time in the past, of a clock that need not be steady: while it is behind what it once said, nothing flows in, and afterwards the bucket is as it was. */

/* What is in it, 0..burst. */
apr_int64_t aigw_bucket_level(const aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now);

/* Takes cost (0 and more) out, whether it is in there or not: what is owed has to flow in first. */
void aigw_bucket_take(aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now, apr_int64_t cost);

/* Puts back (0 and more), at most to full. */
void aigw_bucket_give(aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now, apr_int64_t cost);

/* Microseconds until cost is in it, rounded up; 0: now. For a cost above the burst: until it is full. */
apr_interval_time_t aigw_bucket_wait(const aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now, apr_int64_t cost);

/* ---- for who keeps what is missing elsewhere (a store in Redis), in numbers that doubles hold exactly ---- */

#define AIGW_BUCKET_MISSING_MAX (APR_INT64_C(1) << 52) /* microseconds, 142 years: what takes longer to flow in counts as this */

/* How long n (0 and more) takes to flow in, rounded up to nanoseconds: *us and *ns (0..999). */
void aigw_bucket_time(const aigw_bucket_rate_t *rate, apr_int64_t n, apr_int64_t *us, apr_int64_t *ns);

/* What is in a bucket that needs so long until it is full, 0..burst. */
apr_int64_t aigw_bucket_level_at(const aigw_bucket_rate_t *rate, apr_int64_t us, apr_int64_t ns);

#endif
