/* aigw_timers */
#include "suites.h"
#include "aigw_timers.h"

#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_timers_t *heap;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    heap = aigw_timers_make(pool);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

START_TEST(an_empty_heap_has_nothing)
{
    aigw_timer_t t = {0};

    ck_assert_int_eq(aigw_timers_count(heap), 0);
    ck_assert_int_eq(aigw_timers_next(heap), -1);
    ck_assert_ptr_null(aigw_timers_due(heap, APR_INT64_MAX));
    aigw_timers_drop(heap, &t);
    ck_assert_int_eq(t.slot, 0);
}
END_TEST

START_TEST(a_timer_is_due_at_its_time_and_not_before)
{
    aigw_timer_t t = {0};

    ck_assert_int_eq(aigw_timers_set(heap, &t, 100), APR_SUCCESS);
    ck_assert_int_eq(t.slot, 1);
    ck_assert_int_eq(t.at, 100);
    ck_assert_int_eq(aigw_timers_next(heap), 100);
    ck_assert_ptr_null(aigw_timers_due(heap, 99));
    ck_assert_int_eq(aigw_timers_count(heap), 1);
    ck_assert_ptr_eq(aigw_timers_due(heap, 100), &t);
    ck_assert_int_eq(t.slot, 0);
    ck_assert_int_eq(aigw_timers_count(heap), 0);
    ck_assert_int_eq(aigw_timers_next(heap), -1);
}
END_TEST

START_TEST(the_earliest_comes_first)
{
    static const int times[] = {50, 20, 90, 10, 70, 30, 80, 40, 60, 20};
    static const int sorted[] = {10, 20, 20, 30, 40, 50, 60, 70, 80, 90};
    aigw_timer_t t[10];
    int i;

    memset(t, 0, sizeof(t));
    for (i = 0; i < 10; ++i) {
        t[i].owner = &t[i];
        ck_assert_int_eq(aigw_timers_set(heap, &t[i], times[i]), APR_SUCCESS);
    }
    for (i = 0; i < 10; ++i) {
        aigw_timer_t *due;

        ck_assert_int_eq(aigw_timers_next(heap), sorted[i]);
        due = aigw_timers_due(heap, 1000);
        ck_assert_ptr_nonnull(due);
        ck_assert_int_eq(due->at, sorted[i]);
        ck_assert_ptr_eq(due->owner, due);
    }
    ck_assert_ptr_null(aigw_timers_due(heap, 1000));
}
END_TEST

START_TEST(a_timer_moves_both_ways)
{
    aigw_timer_t a = {0}, b = {0}, c = {0};

    aigw_timers_set(heap, &a, 10);
    aigw_timers_set(heap, &b, 20);
    aigw_timers_set(heap, &c, 30);
    ck_assert_int_eq(aigw_timers_set(heap, &c, 5), APR_SUCCESS);
    ck_assert_int_eq(aigw_timers_next(heap), 5);
    ck_assert_int_eq(aigw_timers_set(heap, &c, 25), APR_SUCCESS);
    ck_assert_int_eq(aigw_timers_set(heap, &a, 40), APR_SUCCESS);
    ck_assert_int_eq(aigw_timers_count(heap), 3);
    ck_assert_ptr_eq(aigw_timers_due(heap, 100), &b);
    ck_assert_ptr_eq(aigw_timers_due(heap, 100), &c);
    ck_assert_ptr_eq(aigw_timers_due(heap, 100), &a);
}
END_TEST

START_TEST(a_dropped_timer_never_fires)
{
    aigw_timer_t a = {0}, b = {0};

    aigw_timers_set(heap, &a, 10);
    aigw_timers_set(heap, &b, 20);
    aigw_timers_drop(heap, &a);
    aigw_timers_drop(heap, &a);
    ck_assert_int_eq(a.slot, 0);
    ck_assert_int_eq(aigw_timers_count(heap), 1);
    ck_assert_ptr_eq(aigw_timers_due(heap, 100), &b);
    ck_assert_ptr_null(aigw_timers_due(heap, 100));
}
END_TEST

START_TEST(a_timer_of_another_heap_is_refused)
{
    aigw_timers_t *other = aigw_timers_make(pool);
    aigw_timer_t mine = {0}, theirs = {0};

    aigw_timers_set(heap, &mine, 10);
    aigw_timers_set(other, &theirs, 20);
    ck_assert_int_eq(aigw_timers_set(heap, &theirs, 5), APR_EINVAL);
    ck_assert_int_eq(theirs.at, 20);
    aigw_timers_drop(heap, &theirs);
    ck_assert_int_eq(aigw_timers_count(heap), 1);
    ck_assert_int_eq(aigw_timers_next(heap), 10);
    ck_assert_int_eq(aigw_timers_next(other), 20);
}
END_TEST

START_TEST(a_heap_that_was_large_becomes_small_and_stays_right)
{
    enum { MANY = 20000 };
    aigw_timer_t *t = calloc(MANY, sizeof(*t));
    apr_time_t before = -1;
    int i, round;

    ck_assert_ptr_nonnull(t);
    for (round = 0; round < 2; ++round) {
        for (i = 0; i < MANY; ++i) {
            ck_assert_int_eq(aigw_timers_set(heap, &t[i], (i * 7919) % MANY), APR_SUCCESS);
        }
        ck_assert_int_eq(aigw_timers_count(heap), MANY);
        before = -1;
        for (i = 0; i < MANY; ++i) {
            aigw_timer_t *due = aigw_timers_due(heap, MANY);

            ck_assert(due->at > before);
            before = due->at;
        }
        ck_assert_int_eq(aigw_timers_count(heap), 0);
    }
    free(t);
}
END_TEST

/* Any sequence of calls does what a plain list would do. */
START_TEST(random_calls_agree_with_a_list)
{
    enum { N = 100, STEPS = 20000 };
    aigw_timer_t t[N];
    apr_time_t at[N]; /* -1: not in */
    unsigned int seed = 12345;
    int i, step, k;

    memset(t, 0, sizeof(t));
    for (i = 0; i < N; ++i) {
        at[i] = -1;
    }
    for (step = 0; step < STEPS; ++step) {
        int count = 0, earliest = -1;

        seed = seed * 1103515245u + 12345u;
        k = (int)(seed >> 16) % N;
        if ((seed >> 8) % 4 == 0) {
            aigw_timers_drop(heap, &t[k]);
            at[k] = -1;
        }
        else {
            at[k] = (apr_time_t)(seed % 1000);
            MUST(aigw_timers_set(heap, &t[k], at[k]) == APR_SUCCESS);
        }
        for (i = 0; i < N; ++i) {
            MUST((t[i].slot != 0) == (at[i] >= 0));
            count += at[i] >= 0;
            if (at[i] >= 0 && (earliest < 0 || at[i] < at[earliest])) {
                earliest = i;
            }
        }
        MUST(aigw_timers_count(heap) == count);
        MUST(aigw_timers_next(heap) == (earliest < 0 ? -1 : at[earliest]));
        if (step % 5 == 0 && earliest >= 0) {
            aigw_timer_t *due = aigw_timers_due(heap, at[earliest]);

            ck_assert_ptr_nonnull(due);
            MUST(due->at == at[earliest]);
            at[due - t] = -1;
        }
    }
}
END_TEST

Suite *suite_timers(void)
{
    Suite *s = suite_create("timers");
    TCase *c = tcase_create("timers");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_empty_heap_has_nothing);
    tcase_add_test(c, a_timer_is_due_at_its_time_and_not_before);
    tcase_add_test(c, the_earliest_comes_first);
    tcase_add_test(c, a_timer_moves_both_ways);
    tcase_add_test(c, a_dropped_timer_never_fires);
    tcase_add_test(c, a_timer_of_another_heap_is_refused);
    tcase_add_test(c, a_heap_that_was_large_becomes_small_and_stays_right);
    tcase_add_test(c, random_calls_agree_with_a_list);
    suite_add_tcase(s, c);
    return s;
}
