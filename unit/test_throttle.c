/* aigw_throttle: to the microsecond */
#include "suites.h"
#include "aigw_throttle.h"

#include <stdlib.h>
#include <string.h>

#define MIN (60 * APR_USEC_PER_SEC)
#define T0  (1000 * MIN)

static void *block;
static aigw_throttle_t *table;
static const aigw_throttle_limit_t five = {5, 15 * MIN};

static void setup(void)
{
    block = calloc(1, aigw_throttle_size(1024));
    table = aigw_throttle_init(block, 1024);
}

static void teardown(void)
{
    free(block);
}

static apr_interval_time_t wait_for(apr_uint64_t key, apr_time_t now)
{
    return aigw_throttle_wait(table, key, &five, now);
}

static void charge(apr_uint64_t key, int n, apr_time_t now)
{
    while (n-- > 0) {
        MUST(wait_for(key, now) == 0);
        aigw_throttle_charge(table, key, &five, now);
    }
}

START_TEST(five_in_a_row_and_then_one_each_three_minutes)
{
    charge(7, 5, T0);
    ck_assert_int_eq(wait_for(7, T0), 3 * MIN);
    ck_assert_int_eq(wait_for(7, T0 + 1), 3 * MIN - 1);
    ck_assert_int_eq(wait_for(7, T0 + 3 * MIN - 1), 1);
    ck_assert_int_eq(wait_for(7, T0 + 3 * MIN), 0);
    charge(7, 1, T0 + 3 * MIN);
    ck_assert_int_eq(wait_for(7, T0 + 3 * MIN), 3 * MIN);
    ck_assert_int_eq(wait_for(8, T0), 0);
}
END_TEST

START_TEST(after_a_whole_period_all_are_back)
{
    charge(7, 5, T0);
    ck_assert_int_eq(aigw_throttle_until(table, 7, T0), T0 + 15 * MIN);
    ck_assert_int_eq(aigw_throttle_until(table, 7, T0 + 15 * MIN - 1), T0 + 15 * MIN);
    ck_assert_int_eq(aigw_throttle_until(table, 7, T0 + 15 * MIN), 0);
    charge(7, 5, T0 + 15 * MIN);
    ck_assert_int_eq(wait_for(7, T0 + 15 * MIN), 3 * MIN);
}
END_TEST

START_TEST(what_is_given_back_can_be_had_again)
{
    charge(7, 5, T0);
    aigw_throttle_refund(table, 7, &five, T0);
    ck_assert_int_eq(wait_for(7, T0), 0);
    charge(7, 1, T0);
    ck_assert_int_eq(wait_for(7, T0), 3 * MIN);
    aigw_throttle_forget(table, 7);
    charge(7, 5, T0);
    ck_assert_int_eq(wait_for(7, T0), 3 * MIN);
}
END_TEST

START_TEST(giving_back_what_nobody_took_saves_nothing_up)
{
    int i;

    aigw_throttle_refund(table, 7, &five, T0);
    charge(7, 1, T0);
    for (i = 0; i < 10; i++) {
        aigw_throttle_refund(table, 7, &five, T0);
    }
    aigw_throttle_forget(table, 8);
    charge(7, 5, T0);
    ck_assert_int_eq(wait_for(7, T0), 3 * MIN);
}
END_TEST

START_TEST(no_limit_is_no_limit)
{
    const aigw_throttle_limit_t none = {0, 0};
    int i;

    for (i = 0; i < 100; i++) {
        ck_assert_int_eq(aigw_throttle_wait(table, 7, &none, T0), 0);
        aigw_throttle_charge(table, 7, &none, T0);
    }
    aigw_throttle_refund(table, 7, &none, T0);
    ck_assert_int_eq(aigw_throttle_until(table, 7, T0), 0);
}
END_TEST

START_TEST(all_tries_of_any_limit_fit_into_its_period)
{
    static const int tries[] = {1, 2, 3, 7, 13, 99, 997, 1000};
    static const apr_interval_time_t periods[] = {AIGW_THROTTLE_PERIOD, 7 * APR_USEC_PER_SEC, MIN, AIGW_THROTTLE_LONG};
    apr_size_t i, j;

    for (i = 0; i < sizeof tries / sizeof *tries; i++) {
        for (j = 0; j < sizeof periods / sizeof *periods; j++) {
            const aigw_throttle_limit_t limit = {tries[i], periods[j]};
            int n = 0;

            aigw_throttle_forget(table, 9);
            for (; n <= tries[i] && !aigw_throttle_wait(table, 9, &limit, T0); n++) {
                aigw_throttle_charge(table, 9, &limit, T0);
            }
            ck_assert_int_eq(n, tries[i]);
        }
    }
}
END_TEST

/* What it costs to make a table forget: keys of one set, which nobody without the secret knows. */
START_TEST(one_at_its_limit_is_driven_out_by_others_at_theirs_alone)
{
    apr_uint64_t set = aigw_throttle_size(1024) / (AIGW_THROTTLE_WAYS * 16), k;
    int i;

    charge(set, 5, T0);
    for (k = 2; k < 10000; k++) { /* one failure each */
        aigw_throttle_charge(table, k * set, &five, T0 + (apr_time_t)k);
    }
    ck_assert_int_eq(wait_for(set, T0 + 10000), 3 * MIN - 10000);
    for (k = 20000; k < 20000 + AIGW_THROTTLE_WAYS; k++) { /* five failures each, a moment later */
        for (i = 0; i < 5; i++) {
            aigw_throttle_charge(table, k * set, &five, T0 + 20000);
        }
    }
    ck_assert_int_eq(wait_for(set, T0 + 20000), 0);
}
END_TEST

START_TEST(what_is_remembered_is_there_until_its_time)
{
    aigw_throttle_remember(table, 5, T0 + 10, T0);
    ck_assert_int_eq(aigw_throttle_until(table, 5, T0 + 9), T0 + 10);
    ck_assert_int_eq(aigw_throttle_until(table, 5, T0 + 10), 0);
    aigw_throttle_remember(table, 5, T0 + 20, T0 + 15);
    ck_assert_int_eq(aigw_throttle_until(table, 5, T0 + 15), T0 + 20);
    aigw_throttle_remember(table, 5, T0 + 20, T0 + 30); /* that is over */
    ck_assert_int_eq(aigw_throttle_until(table, 5, T0), 0);
}
END_TEST

static int parses(const char *text, int tries, apr_interval_time_t period)
{
    aigw_throttle_limit_t limit = {-1, -1};

    return aigw_throttle_limit_parse(text, &limit) && limit.tries == tries && limit.period == period;
}

START_TEST(limits_as_people_write_them)
{
    static const char *const wrong[] = {"",     "5",      "5/",       "/15min",   "5/15",     "5/15m",       "0/15min",       "1001/15min",
                                        "5/0s", "5/25h",  "-1/15min", "5 /15min", "5/15min ", "5/99999999s", "9999999999/1s", "5/-1s",
                                        "x/1s", "5/1.5h", "5/15MIN"};
    aigw_throttle_limit_t limit;
    apr_size_t i;

    ck_assert(parses("5/15min", 5, 15 * MIN));
    ck_assert(parses("1/1s", 1, APR_USEC_PER_SEC));
    ck_assert(parses("1000/24h", 1000, 24 * 60 * MIN));
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(!aigw_throttle_limit_parse(wrong[i], &limit), "%s", wrong[i]);
    }
}
END_TEST

Suite *suite_throttle(void)
{
    Suite *s = suite_create("throttle");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, five_in_a_row_and_then_one_each_three_minutes);
    tcase_add_test(c, after_a_whole_period_all_are_back);
    tcase_add_test(c, what_is_given_back_can_be_had_again);
    tcase_add_test(c, giving_back_what_nobody_took_saves_nothing_up);
    tcase_add_test(c, no_limit_is_no_limit);
    tcase_add_test(c, all_tries_of_any_limit_fit_into_its_period);
    tcase_add_test(c, one_at_its_limit_is_driven_out_by_others_at_theirs_alone);
    tcase_add_test(c, what_is_remembered_is_there_until_its_time);
    tcase_add_test(c, limits_as_people_write_them);
    suite_add_tcase(s, c);
    return s;
}
