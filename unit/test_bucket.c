/* aigw_bucket */
#include "suites.h"
#include "aigw_bucket.h"

#include <string.h>

#define SEC APR_USEC_PER_SEC
#define T0  (APR_INT64_C(1800000000) * SEC)

static const aigw_bucket_rate_t per_minute = {60, 60 * SEC, 10};

static aigw_bucket_t drained(const aigw_bucket_rate_t *rate, apr_time_t now)
{
    aigw_bucket_t bucket = {0};

    aigw_bucket_take(&bucket, rate, now, rate->burst);
    return bucket;
}

START_TEST(it_begins_full)
{
    aigw_bucket_t bucket = {0};

    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0), 10);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0, 10), 0);
    aigw_bucket_take(&bucket, &per_minute, T0, 3);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0), 7);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0, 7), 0);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0, 8), SEC);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0, 10), 3 * SEC);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0, 1000), 3 * SEC); /* never: until it is full */
}
END_TEST

START_TEST(it_flows_in_to_the_microsecond)
{
    aigw_bucket_t bucket = drained(&per_minute, T0);

    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0), 0);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + SEC - 1), 0);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + SEC), 1);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + 10 * SEC - 1), 9);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + 10 * SEC), 10);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + 1000 * SEC), 10);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0 + SEC - 1, 1), 1);
}
END_TEST

START_TEST(what_is_owed_flows_in_first)
{
    aigw_bucket_t bucket = drained(&per_minute, T0);

    aigw_bucket_take(&bucket, &per_minute, T0, 5);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + 5 * SEC), 0);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0, 1), 6 * SEC);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + 6 * SEC), 1);
    aigw_bucket_give(&bucket, &per_minute, T0, 5);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + SEC), 1);
    aigw_bucket_give(&bucket, &per_minute, T0, 500);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0), 10);
}
END_TEST

/* However it is asked, in any hour no more than the burst and what flowed in. */
START_TEST(never_more_than_the_limit)
{
    static const aigw_bucket_rate_t rates[] = {
        {7, 60 * SEC, 7}, {1000, 3 * SEC, 1}, {3, SEC, 100}, {100000, 3600 * SEC, 5}, {999999937, 86400 * SEC, 1000}};
    const aigw_bucket_rate_t *rate = &rates[_i];
    aigw_bucket_t bucket = {0};
    apr_time_t now = T0;
    apr_int64_t got = 0;
    double flowed;
    unsigned seed = 1;

    while (now < T0 + 3600 * SEC) {
        seed = seed * 1103515245u + 12345u;
        now += seed % 100000;
        if (aigw_bucket_level(&bucket, rate, now) >= 1) {
            aigw_bucket_take(&bucket, rate, now, 1);
            got++;
        }
        MUST((double)got <= (double)rate->burst + (double)(now - T0) * (double)rate->amount / (double)rate->window + 1e-6);
    }
    flowed = (double)rate->amount * 3600 * SEC / (double)rate->window;
    ck_assert((double)got >= 0.9 * (flowed < 70000 ? flowed : 70000)); /* asked 72,000 times */
}
END_TEST

START_TEST(clock_steps_back)
{
    aigw_bucket_t bucket = drained(&per_minute, T0);

    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 - 86400 * SEC), 0);
    ck_assert_int_eq(aigw_bucket_wait(&bucket, &per_minute, T0 - 86400 * SEC, 1), SEC);
    aigw_bucket_take(&bucket, &per_minute, T0 - 86400 * SEC, 0); /* it knows now */
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 - 86400 * SEC + SEC), 1);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 - 86400 * SEC + 10 * SEC), 10);
    bucket = drained(&per_minute, T0);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &per_minute, T0 + 86400 * SEC), 10);
}
END_TEST

START_TEST(the_largest)
{
    const aigw_bucket_rate_t rate = {AIGW_BUCKET_AMOUNT_MAX, 31 * 86400 * SEC, AIGW_BUCKET_AMOUNT_MAX};
    aigw_bucket_t bucket = {0};
    int i;

    ck_assert_int_eq(aigw_bucket_level(&bucket, &rate, T0), AIGW_BUCKET_AMOUNT_MAX);
    aigw_bucket_take(&bucket, &rate, T0, AIGW_BUCKET_AMOUNT_MAX);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &rate, T0), 0);
    for (i = 0; i < 100000; i++) {
        aigw_bucket_take(&bucket, &rate, T0, APR_INT64_MAX);
    }
    ck_assert_int_eq(bucket.full_at, APR_INT64_MAX);
    ck_assert_int_eq(aigw_bucket_level(&bucket, &rate, T0), 0);
    ck_assert(aigw_bucket_wait(&bucket, &rate, T0, 1) > 0);
}
END_TEST

/* What a store elsewhere counts with is the same. */
START_TEST(in_microseconds_and_nanoseconds)
{
    const aigw_bucket_rate_t third = {3, SEC, 10}, fine = {AIGW_BUCKET_AMOUNT_MAX, SEC, AIGW_BUCKET_AMOUNT_MAX};
    const aigw_bucket_rate_t slow = {1, 31 * 86400 * SEC, AIGW_BUCKET_AMOUNT_MAX};
    apr_int64_t us, ns;

    aigw_bucket_time(&third, 1, &us, &ns);
    ck_assert_int_eq(us, 333333);
    ck_assert_int_eq(ns, 334);
    ck_assert_int_eq(aigw_bucket_level_at(&third, us, ns), 9);
    ck_assert_int_eq(aigw_bucket_level_at(&third, us, ns + 1), 8); /* a nanosecond too little */
    ck_assert_int_eq(aigw_bucket_level_at(&third, 0, 0), 10);
    ck_assert_int_eq(aigw_bucket_level_at(&third, 100 * SEC, 0), 0);
    aigw_bucket_time(&third, 0, &us, &ns);
    ck_assert_int_eq(us + ns, 0);
    aigw_bucket_time(&fine, 1, &us, &ns);
    ck_assert_int_eq(us, 0);
    ck_assert_int_eq(ns, 1);
    aigw_bucket_time(&slow, AIGW_BUCKET_AMOUNT_MAX, &us, &ns); /* 80 billion years */
    ck_assert_int_eq(us, AIGW_BUCKET_MISSING_MAX);
    ck_assert_int_eq(ns, 0);
    ck_assert_int_eq(aigw_bucket_level_at(&slow, 0, 0), AIGW_BUCKET_AMOUNT_MAX);
    ck_assert_int_eq(aigw_bucket_level_at(&slow, us, ns), 0);
}
END_TEST

Suite *suite_bucket(void)
{
    Suite *suite = suite_create("bucket");
    TCase *tc = tcase_create("bucket");

    tcase_add_test(tc, it_begins_full);
    tcase_add_test(tc, it_flows_in_to_the_microsecond);
    tcase_add_test(tc, what_is_owed_flows_in_first);
    tcase_add_loop_test(tc, never_more_than_the_limit, 0, 5);
    tcase_add_test(tc, clock_steps_back);
    tcase_add_test(tc, the_largest);
    tcase_add_test(tc, in_microseconds_and_nanoseconds);
    suite_add_tcase(suite, tc);
    return suite;
}
