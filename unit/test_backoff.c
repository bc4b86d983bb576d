/* aigw_backoff */
#include "suites.h"
#include "aigw_backoff.h"

#define S(n) apr_time_from_sec(n)
#define HALF 0x80000000u /* neither less nor more */

static const aigw_backoff_t day = {S(5), S(3600), S(86400)};

START_TEST(each_pause_is_twice_the_one_before)
{
    apr_interval_time_t elapsed = 0, pause, expected = S(5);
    int attempts;

    for (attempts = 1; attempts <= 10; attempts++) {
        pause = aigw_backoff_next(&day, attempts, elapsed, 0, HALF);
        ck_assert_int_eq(pause, expected);
        elapsed += pause;
        expected *= 2;
    }
    ck_assert_int_eq(aigw_backoff_next(&day, 11, elapsed, 0, HALF), S(3600)); /* and no longer than that */
    ck_assert_int_eq(aigw_backoff_next(&day, 2000000000, elapsed, 0, HALF), S(3600));
}
END_TEST

START_TEST(chance_is_a_quarter_either_way)
{
    ck_assert_int_eq(aigw_backoff_next(&day, 3, S(100), 0, 0), S(15));
    ck_assert_int_ge(aigw_backoff_next(&day, 3, S(100), 0, 0xffffffff), S(25) - 2);
    ck_assert_int_le(aigw_backoff_next(&day, 3, S(100), 0, 0xffffffff), S(25));
}
END_TEST

START_TEST(it_is_given_up_and_tried_once_more_before)
{
    ck_assert_int_eq(aigw_backoff_next(&day, 30, S(86399), 0, HALF), S(1));
    ck_assert_int_eq(aigw_backoff_next(&day, 30, S(86400) - 1, 0, HALF), 1);
    ck_assert_int_eq(aigw_backoff_next(&day, 30, S(86400), 0, HALF), 0);
    ck_assert_int_eq(aigw_backoff_next(&day, 1, S(100000), S(10), HALF), 0);
}
END_TEST

START_TEST(what_was_not_tried_does_not_count)
{
    /* claimed a hundred times in ten seconds by children that were killed */
    ck_assert_int_eq(aigw_backoff_next(&day, 100, S(10), 0, HALF), S(20));
    ck_assert_int_eq(aigw_backoff_next(&day, 100, 0, 0, HALF), S(5));
    /* nobody was there for ten hours */
    ck_assert_int_eq(aigw_backoff_next(&day, 1, S(36000), 0, HALF), S(5));
}
END_TEST

START_TEST(retry_after_is_heeded)
{
    ck_assert_int_eq(aigw_backoff_next(&day, 1, 0, S(60), HALF), S(60));
    ck_assert_int_eq(aigw_backoff_next(&day, 5, S(75), S(60), HALF), S(80));
    ck_assert_int_eq(aigw_backoff_next(&day, 1, 0, S(7200), HALF), S(7200));
    ck_assert_int_eq(aigw_backoff_next(&day, 1, S(86000), S(7200), HALF), S(400));
}
END_TEST

START_TEST(clocks_may_differ)
{
    ck_assert_int_eq(aigw_backoff_next(&day, 1, -S(3600), 0, HALF), S(5));
}
END_TEST

Suite *suite_backoff(void)
{
    Suite *s = suite_create("backoff");
    TCase *c = tcase_create("all");

    tcase_add_test(c, each_pause_is_twice_the_one_before);
    tcase_add_test(c, chance_is_a_quarter_either_way);
    tcase_add_test(c, it_is_given_up_and_tried_once_more_before);
    tcase_add_test(c, what_was_not_tried_does_not_count);
    tcase_add_test(c, retry_after_is_heeded);
    tcase_add_test(c, clocks_may_differ);
    suite_add_tcase(s, c);
    return s;
}
