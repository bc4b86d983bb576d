/* aigw_window */
#include "suites.h"
#include "aigw_window.h"

#include <stdlib.h>
#include <string.h>

#define SEC APR_USEC_PER_SEC
#define T0  (APR_INT64_C(1800000000) * SEC) /* a multiple of the slice */

static const aigw_window_rate_t per_minute = {100, 60 * SEC}; /* slices of 4 seconds */

START_TEST(all_is_left_at_first)
{
    aigw_window_t window = {0};

    ck_assert_int_eq(aigw_window_slice(&per_minute), 4 * SEC);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0), 100);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0, 100), 0);
    aigw_window_take(&window, &per_minute, T0, 30);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0), 70);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0, 70), 0);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0, 71), 64 * SEC);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0, 1000), 64 * SEC);
}
END_TEST

START_TEST(it_comes_back_to_the_microsecond)
{
    aigw_window_t window = {0};

    aigw_window_take(&window, &per_minute, T0, 60);
    aigw_window_take(&window, &per_minute, T0 + 4 * SEC, 40);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 4 * SEC), 0);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 64 * SEC - 1), 0);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 64 * SEC), 60);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 68 * SEC - 1), 60);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 68 * SEC), 100);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0 + 5 * SEC, 1), 59 * SEC);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0 + 5 * SEC, 60), 59 * SEC);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0 + 5 * SEC, 61), 63 * SEC);
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0 + 64 * SEC - 1, 1), 1);
}
END_TEST

START_TEST(giving_back)
{
    aigw_window_t window = {0};

    aigw_window_take(&window, &per_minute, T0, 60);
    aigw_window_take(&window, &per_minute, T0 + 10 * SEC, 40);
    aigw_window_give(&window, &per_minute, T0 + 11 * SEC, T0, 20);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 11 * SEC), 20);
    aigw_window_give(&window, &per_minute, T0 + 11 * SEC, T0, 1000); /* no more than was used then */
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 11 * SEC), 60);
    aigw_window_give(&window, &per_minute, T0 + 70 * SEC, T0, 40); /* long over */
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 70 * SEC), 60);
    aigw_window_give(&window, &per_minute, T0 + 70 * SEC, T0 + 100 * SEC, 40); /* from the future */
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 70 * SEC), 60);
}
END_TEST

/* However it is asked, in any span of the window's length never more than the amount; held against all times that were let in. */
START_TEST(never_more_than_the_limit)
{
    static const aigw_window_rate_t rates[] = {{5, SEC}, {100, 60 * SEC}, {7, 61 * SEC + 13}, {1000, 600 * SEC}};
    const aigw_window_rate_t *rate = &rates[_i];
    aigw_window_t window = {0};
    apr_time_t now = T0, *times = malloc(200000 * sizeof *times);
    int n = 0, i;
    unsigned seed = 7;

    ck_assert_ptr_nonnull(times);
    for (i = 0; i < 200000; i++) {
        seed = seed * 1103515245u + 12345u;
        now += (seed >> 8) % (unsigned)(rate->window / rate->amount);
        if (aigw_window_level(&window, rate, now) >= 1) {
            aigw_window_take(&window, rate, now, 1);
            times[n++] = now;
            MUST(n <= rate->amount || now - times[n - 1 - rate->amount] >= rate->window);
            MUST(aigw_window_wait(&window, rate, now, 1) >= 0);
        }
        else {
            const apr_interval_time_t wait = aigw_window_wait(&window, rate, now, 1);

            MUST(wait > 0 && wait <= rate->window + rate->window / 15 + 15);
            MUST(aigw_window_level(&window, rate, now + wait) >= 1);
            MUST(aigw_window_level(&window, rate, now + wait - 1) == 0);
        }
    }
    ck_assert_int_gt(n, (int)(0.85 * (double)(now - T0) / (double)rate->window * (double)rate->amount));
    free(times);
}
END_TEST

START_TEST(clock_steps_back)
{
    aigw_window_t window = {0};

    aigw_window_take(&window, &per_minute, T0, 100);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 - 3 * SEC), 0);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 - 86400 * SEC), 0);
    aigw_window_take(&window, &per_minute, T0 - 86400 * SEC, 0); /* it knows now */
    ck_assert_int_eq(aigw_window_wait(&window, &per_minute, T0 - 86400 * SEC, 1), 64 * SEC);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 - 86400 * SEC + 64 * SEC), 100);
    ck_assert_int_eq(aigw_window_level(&window, &per_minute, T0 + 86400 * SEC), 100);
}
END_TEST

START_TEST(the_largest)
{
    const aigw_window_rate_t rate = {APR_INT64_C(1000000000000), 31 * 86400 * SEC};
    aigw_window_t window = {0};
    int i;

    for (i = 0; i < 100; i++) {
        aigw_window_take(&window, &rate, T0 + i * SEC * 86400 / 8, APR_INT64_MAX);
    }
    ck_assert_int_eq(aigw_window_level(&window, &rate, T0 + 100 * SEC * 86400 / 8), 0);
    ck_assert(aigw_window_wait(&window, &rate, T0 + 100 * SEC * 86400 / 8, 1) > 0);
}
END_TEST

Suite *suite_window(void)
{
    Suite *suite = suite_create("window");
    TCase *tc = tcase_create("window");

    tcase_add_test(tc, all_is_left_at_first);
    tcase_add_test(tc, it_comes_back_to_the_microsecond);
    tcase_add_test(tc, giving_back);
    tcase_add_loop_test(tc, never_more_than_the_limit, 0, 4);
    tcase_add_test(tc, clock_steps_back);
    tcase_add_test(tc, the_largest);
    suite_add_tcase(suite, tc);
    return suite;
}
