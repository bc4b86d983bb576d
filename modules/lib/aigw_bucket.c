#include "aigw_bucket.h"

#define NSEC 1000 /* a microsecond has */

/* GCC's and clang's: amounts of 10^12 in windows of 10^15 ns need 90 bits. */
__extension__ typedef __int128 wide_t;

static wide_t per_window(const aigw_bucket_rate_t *rate)
{
    return (wide_t)rate->window * NSEC;
}

/* How long n takes to flow in, rounded up: nobody gets more than flows. */
static wide_t time_of(const aigw_bucket_rate_t *rate, apr_int64_t n)
{
    return ((wide_t)n * per_window(rate) + rate->amount - 1) / rate->amount;
}

/* How long it takes to fill: 0, up to the time of a whole burst, or more where something is owed. */
static wide_t missing(const aigw_bucket_t *bucket, apr_time_t now)
{
    wide_t missing = (wide_t)bucket->full_at - (wide_t)(now < bucket->last ? bucket->last : now) * NSEC;

    return missing > 0 ? missing : 0;
}

static void set(aigw_bucket_t *bucket, apr_time_t now, wide_t missing)
{
    wide_t at = (wide_t)now * NSEC + (missing > 0 ? missing : 0);

    bucket->full_at = at > APR_INT64_MAX ? APR_INT64_MAX : (apr_int64_t)at;
    bucket->last = now;
}

static apr_int64_t level_of(const aigw_bucket_rate_t *rate, wide_t there)
{
    wide_t level = there * rate->amount / per_window(rate);

    return level <= 0 ? 0 : level > rate->burst ? rate->burst : (apr_int64_t)level;
}

apr_int64_t aigw_bucket_level(const aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now)
{
    return level_of(rate, time_of(rate, rate->burst) - missing(bucket, now));
}

void aigw_bucket_take(aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    set(bucket, now, missing(bucket, now) + time_of(rate, cost));
}

void aigw_bucket_give(aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    set(bucket, now, missing(bucket, now) - time_of(rate, cost));
}

apr_interval_time_t aigw_bucket_wait(const aigw_bucket_t *bucket, const aigw_bucket_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    wide_t short_of = time_of(rate, cost < rate->burst ? cost : rate->burst) - (time_of(rate, rate->burst) - missing(bucket, now));

    if (short_of <= 0) {
        return 0;
    }
    short_of = (short_of + NSEC - 1) / NSEC;
    return short_of > APR_INT64_MAX ? APR_INT64_MAX : (apr_interval_time_t)short_of;
}

/* ------------------------------------------------------------------ for who keeps it elsewhere */

void aigw_bucket_time(const aigw_bucket_rate_t *rate, apr_int64_t n, apr_int64_t *us, apr_int64_t *ns)
{
    const wide_t most = (wide_t)AIGW_BUCKET_MISSING_MAX * NSEC, time = time_of(rate, n);

    *us = (apr_int64_t)((time < most ? time : most) / NSEC);
    *ns = (apr_int64_t)((time < most ? time : most) % NSEC);
}

apr_int64_t aigw_bucket_level_at(const aigw_bucket_rate_t *rate, apr_int64_t us, apr_int64_t ns)
{
    apr_int64_t full_us, full_ns;

    if (us == 0 && ns == 0) {
        return rate->burst;
    }
    aigw_bucket_time(rate, rate->burst, &full_us, &full_ns);
    return level_of(rate, ((wide_t)full_us - us) * NSEC + full_ns - ns);
}
