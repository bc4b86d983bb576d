/* aigw_rate */
#include "suites.h"
#include "aigw_rate.h"

#include <string.h>

#define SEC APR_USEC_PER_SEC
#define T0  (APR_INT64_C(1800000000) * SEC)

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

START_TEST(right_rates)
{
    static const struct {
        const char *text, *back;
        apr_int64_t amount, seconds;
    } rows[] = {{"60/minute", "60/minute", 60, 60},
                {"1/s", "1/second", 1, 1},
                {"100k/day", "100000/day", 100000, 86400},
                {"2M/month", "2000000/month", 2000000, 2592000},
                {"5/h", "5/hour", 5, 3600},
                {"7/min", "7/minute", 7, 60},
                {"1000000M/d", "1000000000000/day", APR_INT64_C(1000000000000), 86400}};
    apr_size_t i;
    aigw_rate_t rate;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_ptr_null(aigw_rate_parse(pool, rows[i].text, &rate));
        ck_assert_int_eq(rate.amount, rows[i].amount);
        ck_assert_int_eq(rate.burst, rows[i].amount);
        ck_assert_int_eq(rate.window, rows[i].seconds * SEC);
        ck_assert_int_eq(rate.algorithm, AIGW_RATE_SLIDING_WINDOW);
        ck_assert_str_eq(aigw_rate_format(pool, &rate), rows[i].back);
    }
}
END_TEST

START_TEST(wrong_rates)
{
    static const char *const texts[] = {"",          "60",         "/minute", "0/minute",    "-1/minute",    "+1/minute",
                                        " 1/minute", "1 /minute",  "1/",      "1/minutes",   "1/Minute",     "1.5/minute",
                                        "1x/minute", "1kk/minute", "1/week",  "0x10/minute", "1000001M/day", "99999999999999999999/day",
                                        "1//minute", "1/minute/x"};
    apr_size_t i;
    aigw_rate_t rate;

    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(aigw_rate_parse(pool, texts[i], &rate) != NULL, "%s", texts[i]);
    }
}
END_TEST

START_TEST(both_algorithms)
{
    aigw_rate_t rate;
    aigw_rate_state_t state;

    ck_assert_ptr_null(aigw_rate_parse(pool, "60/minute", &rate));
    memset(&state, 0, sizeof state);
    aigw_rate_take(&state, &rate, T0, 60);
    ck_assert_int_eq(aigw_rate_level(&state, &rate, T0 + 30 * SEC), 0);
    ck_assert_int_eq(aigw_rate_wait(&state, &rate, T0, 1), 64 * SEC);
    aigw_rate_give(&state, &rate, T0 + 30 * SEC, T0, 10);
    ck_assert_int_eq(aigw_rate_level(&state, &rate, T0 + 30 * SEC), 10);
    rate.algorithm = AIGW_RATE_TOKEN_BUCKET;
    memset(&state, 0, sizeof state);
    aigw_rate_take(&state, &rate, T0, 60);
    ck_assert_int_eq(aigw_rate_level(&state, &rate, T0 + 30 * SEC), 30);
    ck_assert_int_eq(aigw_rate_wait(&state, &rate, T0, 1), SEC);
    aigw_rate_give(&state, &rate, T0 + 30 * SEC, T0, 10);
    ck_assert_int_eq(aigw_rate_level(&state, &rate, T0 + 30 * SEC), 40);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        apr_int64_t us;
        const char *text;
    } rows[] = {{0, "0s"},
                {-5, "0s"},
                {1, "1ms"},
                {12000, "12ms"},
                {999000, "999ms"},
                {999001, "1s"},
                {SEC, "1s"},
                {1500000, "1.500s"},
                {59999001, "1m0s"},
                {360 * SEC, "6m0s"},
                {3600 * SEC, "1h0m0s"},
                {90061 * SEC, "25h1m1s"},
                {APR_INT64_MAX, "2562047788h0m54.775s"}};
    apr_size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_str_eq(aigw_rate_duration(pool, rows[i].us), rows[i].text);
    }
}
END_TEST

Suite *suite_rate(void)
{
    Suite *suite = suite_create("rate");
    TCase *tc = tcase_create("rate");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, right_rates);
    tcase_add_test(tc, wrong_rates);
    tcase_add_test(tc, both_algorithms);
    tcase_add_test(tc, durations);
    suite_add_tcase(suite, tc);
    return suite;
}
