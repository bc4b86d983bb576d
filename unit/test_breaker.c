/* aigw_breaker */
#include "suites.h"
#include "aigw_breaker.h"

#define MS 1000
#define T0 APR_INT64_C(5000000000)

static const aigw_breaker_limits_t limits = {3, 250 * MS, 5000 * MS, 10000 * MS};

static aigw_breaker_event_e goes(aigw_breaker_t *b, aigw_breaker_result_e result, apr_time_t now)
{
    apr_uint64_t ticket = aigw_breaker_ticket(b, &limits, now);

    ck_assert_uint_ne(ticket, 0);
    return aigw_breaker_result(b, &limits, ticket, result, now);
}

static aigw_breaker_t opened(apr_time_t now)
{
    aigw_breaker_t b = {0};

    ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, now), AIGW_BREAKER_NOTHING);
    ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, now), AIGW_BREAKER_NOTHING);
    ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, now), AIGW_BREAKER_OPENED);
    return b;
}

/* It refuses until then, to the microsecond. */
static void refuses_until(aigw_breaker_t *b, apr_time_t then)
{
    ck_assert_int_eq(aigw_breaker_refuses(b, &limits, then - 1), 1);
    ck_assert_uint_eq(aigw_breaker_ticket(b, &limits, then - 1), 0);
    ck_assert_int_eq(aigw_breaker_refuses(b, &limits, then), 0);
}

START_TEST(failures_in_a_row_open_it)
{
    aigw_breaker_t b = {0};
    int i;

    for (i = 0; i < 10; i++) { /* none of these rows is long enough */
        ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, T0), AIGW_BREAKER_NOTHING);
        ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, T0), AIGW_BREAKER_NOTHING);
        ck_assert_int_eq(goes(&b, AIGW_BREAKER_WELL, T0), AIGW_BREAKER_NOTHING);
    }
    goes(&b, AIGW_BREAKER_FAILED, T0);
    goes(&b, AIGW_BREAKER_UNTRIED, T0); /* says nothing */
    goes(&b, AIGW_BREAKER_FAILED, T0);
    ck_assert_int_eq(aigw_breaker_refuses(&b, &limits, T0), 0);
    ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, T0), AIGW_BREAKER_OPENED);
    ck_assert_int_eq(b.since, T0);
    refuses_until(&b, T0 + 250 * MS);
}
END_TEST

START_TEST(one_probe_at_a_time)
{
    aigw_breaker_t b = opened(T0);
    apr_uint64_t probe = aigw_breaker_ticket(&b, &limits, T0 + 250 * MS);

    ck_assert_uint_ne(probe, 0);
    ck_assert_int_eq(b.state, AIGW_BREAKER_PROBING);
    ck_assert_uint_eq(aigw_breaker_ticket(&b, &limits, T0 + 250 * MS), 0);
    ck_assert_uint_eq(aigw_breaker_ticket(&b, &limits, T0 + 300 * MS), 0);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, probe, AIGW_BREAKER_WELL, T0 + 300 * MS), AIGW_BREAKER_RECOVERED);
    ck_assert_int_eq(b.state, AIGW_BREAKER_CLOSED);
    ck_assert_int_eq(b.since, T0);
    ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, T0 + 300 * MS), AIGW_BREAKER_NOTHING); /* it has three again */
}
END_TEST

START_TEST(it_waits_twice_as_long_up_to_the_most)
{
    static const int waits[] = {250, 500, 1000, 2000, 4000, 5000, 5000, 5000};
    aigw_breaker_t b = opened(T0);
    apr_time_t t = T0;
    int i;

    for (i = 0; i < (int)(sizeof waits / sizeof waits[0]); i++) {
        t += waits[i] * MS;
        refuses_until(&b, t);
        ck_assert_int_eq(goes(&b, AIGW_BREAKER_FAILED, t), AIGW_BREAKER_STAYED_OPEN);
    }
    ck_assert_int_eq(goes(&b, AIGW_BREAKER_WELL, t + 5000 * MS), AIGW_BREAKER_RECOVERED);
    ck_assert_int_eq(b.since, T0);
    /* and begins small again */
    b = opened(t);
    refuses_until(&b, t + 250 * MS);
}
END_TEST

START_TEST(the_time_counts_from_the_result_of_the_probe)
{
    aigw_breaker_t b = opened(T0);
    apr_uint64_t probe = aigw_breaker_ticket(&b, &limits, T0 + 1000 * MS);

    aigw_breaker_result(&b, &limits, probe, AIGW_BREAKER_FAILED, T0 + 1300 * MS);
    refuses_until(&b, T0 + 1800 * MS);
}
END_TEST

START_TEST(stragglers_change_nothing)
{
    aigw_breaker_t b = {0};
    apr_uint64_t early = aigw_breaker_ticket(&b, &limits, T0), probe;

    b.failures = 2;
    goes(&b, AIGW_BREAKER_FAILED, T0);
    ck_assert_int_eq(b.state, AIGW_BREAKER_OPEN);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, early, AIGW_BREAKER_WELL, T0), AIGW_BREAKER_NOTHING);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, early, AIGW_BREAKER_FAILED, T0), AIGW_BREAKER_NOTHING);
    refuses_until(&b, T0 + 250 * MS);
    probe = aigw_breaker_ticket(&b, &limits, T0 + 250 * MS);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, early, AIGW_BREAKER_WELL, T0), AIGW_BREAKER_NOTHING);
    ck_assert_int_eq(b.state, AIGW_BREAKER_PROBING);
    aigw_breaker_result(&b, &limits, probe, AIGW_BREAKER_WELL, T0);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, early, AIGW_BREAKER_FAILED, T0), AIGW_BREAKER_NOTHING);
    ck_assert_int_eq(b.failures, 0);
}
END_TEST

START_TEST(a_probe_may_be_given_back_or_lost)
{
    aigw_breaker_t b = opened(T0);
    apr_time_t t = T0 + 250 * MS;
    apr_uint64_t probe, second;

    ck_assert_int_eq(goes(&b, AIGW_BREAKER_UNTRIED, t), AIGW_BREAKER_NOTHING);
    probe = aigw_breaker_ticket(&b, &limits, t); /* at once */
    ck_assert_uint_ne(probe, 0);
    refuses_until(&b, t + limits.probe_max);
    second = aigw_breaker_ticket(&b, &limits, t + limits.probe_max);
    ck_assert_uint_ne(second, 0);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, probe, AIGW_BREAKER_WELL, t + limits.probe_max), AIGW_BREAKER_NOTHING);
    ck_assert_int_eq(aigw_breaker_result(&b, &limits, second, AIGW_BREAKER_FAILED, t + limits.probe_max), AIGW_BREAKER_STAYED_OPEN);
    refuses_until(&b, t + limits.probe_max + 500 * MS);
}
END_TEST

START_TEST(a_clock_that_steps_back_does_not_keep_it_open)
{
    aigw_breaker_t b = opened(T0);

    ck_assert_int_eq(aigw_breaker_refuses(&b, &limits, T0), 1);
    ck_assert_int_eq(aigw_breaker_refuses(&b, &limits, T0 - 1), 0);
    goes(&b, AIGW_BREAKER_FAILED, T0 - 3600000 * (apr_time_t)MS);
    refuses_until(&b, T0 - 3600000 * (apr_time_t)MS + 500 * MS);
}
END_TEST

Suite *suite_breaker(void)
{
    Suite *s = suite_create("breaker");
    TCase *c = tcase_create("breaker");

    tcase_add_test(c, failures_in_a_row_open_it);
    tcase_add_test(c, one_probe_at_a_time);
    tcase_add_test(c, it_waits_twice_as_long_up_to_the_most);
    tcase_add_test(c, the_time_counts_from_the_result_of_the_probe);
    tcase_add_test(c, stragglers_change_nothing);
    tcase_add_test(c, a_probe_may_be_given_back_or_lost);
    tcase_add_test(c, a_clock_that_steps_back_does_not_keep_it_open);
    suite_add_tcase(s, c);
    return s;
}
