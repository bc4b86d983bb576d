#include "suites.h"
#include "aigw_spread.h"

#define SEC apr_time_from_sec(1)

START_TEST(bounds)
{
    aigw_spread_t spread = {0, 0};

    ck_assert_int_eq(aigw_spread_next(&spread, SEC, 0, 0), SEC);
    ck_assert_int_eq(aigw_spread_next(&spread, SEC, 7 * SEC, 0), 7 * SEC);
    ck_assert_int_eq(aigw_spread_next(&spread, SEC, 3600 * SEC, 0), 60 * SEC);
    ck_assert_int_le(aigw_spread_next(&spread, SEC, 3600 * SEC, 1), 61 * SEC);
}
END_TEST

/* 500 at once come over a minute; when they have gone, one comes when it was told. */
START_TEST(many)
{
    aigw_spread_t spread = {0, 0};
    int i, soon = 0;

    for (i = 0; i < 500; i++) {
        const apr_interval_time_t wait = aigw_spread_next(&spread, SEC, SEC, (i % 100) / 100.0);

        ck_assert_int_ge(wait, SEC);
        ck_assert_int_le(wait, 61 * SEC);
        soon += wait < 2 * SEC;
    }
    ck_assert_int_lt(soon, 50);
    ck_assert_int_le(aigw_spread_next(&spread, 62 * SEC, SEC, 1), SEC + SEC / 5);
    ck_assert_int_le(aigw_spread_next(&spread, SEC, SEC, 1), SEC + SEC / 5); /* a clock that goes back */
}
END_TEST

Suite *suite_spread(void)
{
    Suite *s = suite_create("spread");
    TCase *t = tcase_create("spread");

    tcase_add_test(t, bounds);
    tcase_add_test(t, many);
    suite_add_tcase(s, t);
    return s;
}
