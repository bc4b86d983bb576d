/* aigw_limit_shm */
#include "suites.h"
#include "aigw_limit_shm.h"

#include <apr_general.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned char secret[AIGW_LIMIT_SECRET] = "sixteen letters";
static const aigw_rate_t slots = {.amount = 3}, minute = {AIGW_RATE_SLIDING_WINDOW, 100, APR_USEC_PER_SEC * 60, 100};
static const aigw_rate_t one_an_hour = {AIGW_RATE_SLIDING_WINDOW, 1, APR_USEC_PER_SEC * 3600, 1};
static const apr_time_t now = APR_USEC_PER_SEC * 1000;

static apr_pool_t *pool;
static aigw_limit_shm_t *shm;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    ck_assert_int_eq(aigw_limit_shm_make(&shm, 1024, 4, secret, pool), APR_SUCCESS);
    ck_assert_int_eq(aigw_limit_shm_join(shm, now), APR_SUCCESS);
}

static void teardown(void)
{
    aigw_limit_shm_leave(shm);
    apr_pool_destroy(pool);
}

static aigw_limit_count_t of(const aigw_rate_t *rate, unsigned who, apr_int64_t cost)
{
    aigw_limit_count_t count = {.rate = rate, .cost = cost, .slots = rate->window == 0};

    memcpy(count.key, &who, sizeof who);
    memcpy(count.key + 4, &rate->amount, sizeof rate->amount);
    return count;
}

static aigw_limit_shm_answer_e decide(aigw_limit_count_t *counts, int n, int hold, apr_time_t at)
{
    int which;

    return aigw_limit_shm_decide(shm, counts, n, hold, at, &which);
}

static aigw_limit_shm_sums_t sums(void)
{
    aigw_limit_shm_sums_t got;

    MUST(aigw_limit_shm_sums(shm, &got));
    return got;
}

/* What is left for somebody. */
static apr_int64_t left(const aigw_rate_t *rate, unsigned who)
{
    aigw_limit_count_t count = of(rate, who, 0);

    MUST(decide(&count, 1, 0, now) == AIGW_LIMIT_SHM_YES);
    return count.left;
}

START_TEST(slots_are_taken_and_given_back_once)
{
    aigw_limit_count_t count[4];
    int i, which;

    for (i = 0; i < 3; i++) {
        count[i] = of(&slots, 1, 1);
        ck_assert_int_eq(decide(&count[i], 1, 1, now), AIGW_LIMIT_SHM_YES);
        ck_assert_int_eq(count[i].left, 2 - i);
        ck_assert(count[i].charged && count[i].hold && !count[i].reset);
    }
    count[3] = of(&slots, 1, 1);
    ck_assert_int_eq(aigw_limit_shm_decide(shm, &count[3], 1, 1, now, &which), AIGW_LIMIT_SHM_NO);
    ck_assert_int_eq(which, 0);
    ck_assert(count[3].left == 0 && count[3].wait == 0 && !count[3].charged);
    ck_assert_int_eq(sums().slots, 3);
    ck_assert_uint_eq(sums().holds, 3);
    count[3] = count[0];
    aigw_limit_shm_settle(shm, &count[0], 77, now);
    ck_assert_int_eq(count[0].charged, 0);
    aigw_limit_shm_settle(shm, &count[0], 77, now);
    aigw_limit_shm_settle(shm, &count[3], 0, now); /* who has a copy cannot give it back again, either */
    ck_assert_int_eq(sums().slots, 2);
    ck_assert_int_eq(left(&slots, 1), 1);
    ck_assert_int_eq(left(&slots, 2), 3);
}
END_TEST

START_TEST(tokens_are_reserved_and_settled)
{
    aigw_limit_count_t less = of(&minute, 1, 40), more = of(&minute, 1, 40), third = of(&minute, 1, 40);

    ck_assert_int_eq(decide(&less, 1, 1, now), AIGW_LIMIT_SHM_YES);
    ck_assert_int_eq(decide(&more, 1, 1, now), AIGW_LIMIT_SHM_YES);
    ck_assert_int_eq(decide(&third, 1, 1, now), AIGW_LIMIT_SHM_NO);
    ck_assert_int_gt(third.wait, 0);
    ck_assert_int_eq(sums().reserved, 80);
    aigw_limit_shm_settle(shm, &less, 10, now + 5);
    ck_assert_int_eq(left(&minute, 1), 50);
    aigw_limit_shm_settle(shm, &more, 60, now + 5);
    ck_assert_int_eq(left(&minute, 1), 30);
    ck_assert_int_eq(sums().reserved, 0);
    ck_assert_uint_eq(sums().holds, 0);
    ck_assert_int_eq(decide(&third, 1, 0, now), AIGW_LIMIT_SHM_NO); /* refused, so nothing of it is left to settle */
    aigw_limit_shm_settle(shm, &third, 0, now);
    ck_assert_int_eq(left(&minute, 1), 30);
}
END_TEST

START_TEST(all_or_none)
{
    aigw_limit_count_t counts[3] = {of(&minute, 1, 1), of(&slots, 1, 1), of(&one_an_hour, 1, 1)};
    int which;

    ck_assert_int_eq(decide(counts, 3, 1, now), AIGW_LIMIT_SHM_YES);
    ck_assert_int_eq(aigw_limit_shm_decide(shm, counts, 3, 1, now, &which), AIGW_LIMIT_SHM_NO);
    ck_assert_int_eq(which, 2);
    ck_assert_int_eq(left(&minute, 1), 99);
    ck_assert_int_eq(left(&slots, 1), 2);
    ck_assert_int_gt(counts[0].reset, 0);
}
END_TEST

START_TEST(a_soft_one_does_not_refuse)
{
    aigw_limit_count_t counts[2] = {of(&one_an_hour, 1, 1), of(&minute, 1, 1)};

    counts[0].soft = 1;
    ck_assert_int_eq(decide(counts, 2, 0, now), AIGW_LIMIT_SHM_YES);
    ck_assert(!counts[0].over && counts[0].charged);
    ck_assert_int_eq(decide(counts, 2, 0, now), AIGW_LIMIT_SHM_YES);
    ck_assert(counts[0].over && !counts[0].charged && counts[0].wait > 0);
    ck_assert(!counts[1].over && counts[1].charged);
    ck_assert_int_eq(left(&minute, 1), 98);
    ck_assert_int_eq(left(&one_an_hour, 1), 0);
}
END_TEST

START_TEST(what_a_dead_process_held_is_given_back)
{
    aigw_limit_count_t mine = of(&slots, 1, 1), counts[3] = {of(&slots, 1, 1), of(&slots, 1, 1), of(&minute, 1, 70)},
                       last = of(&slots, 1, 1);
    int i, status;
    pid_t pid;

    ck_assert_int_eq(decide(&mine, 1, 1, now), AIGW_LIMIT_SHM_YES);
    for (i = 1; i <= 20; i++) {
        const apr_time_t at = now + i * APR_USEC_PER_SEC / 50;

        pid = fork();
        if (!pid) {
            if (aigw_limit_shm_join(shm, now) != APR_SUCCESS || decide(&counts[0], 1, 1, now) != AIGW_LIMIT_SHM_YES ||
                decide(&counts[1], 2, 1, now) != AIGW_LIMIT_SHM_YES) {
                _exit(1);
            }
            kill(getpid(), SIGKILL);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(sums().slots, 3);
        ck_assert_int_eq(sums().reserved, 70);
        last.charged = 0;
        ck_assert_int_eq(decide(&last, 1, 1, at), AIGW_LIMIT_SHM_YES); /* it would be refused, if they were not dead */
        ck_assert_int_eq(sums().slots, 2);
        ck_assert_int_eq(sums().reserved, 0);
        ck_assert_uint_eq(sums().reaped, (unsigned)i * 3);
        ck_assert_uint_eq(sums().living, 1);
        aigw_limit_shm_settle(shm, &last, 0, at);
    }
    ck_assert_int_eq(left(&minute, 1), 100);
    aigw_limit_shm_settle(shm, &mine, 0, now);
    ck_assert_int_eq(left(&slots, 1), 3);
}
END_TEST

START_TEST(who_has_left_holds_nothing_more)
{
    aigw_limit_count_t count = of(&slots, 1, 1), asked = of(&slots, 1, 1);

    ck_assert_int_eq(decide(&count, 1, 1, now), AIGW_LIMIT_SHM_YES);
    aigw_limit_shm_leave(shm);
    aigw_limit_shm_reap(shm, now);
    ck_assert_int_eq(sums().slots, 0);
    ck_assert_int_eq(decide(&asked, 1, 1, now), AIGW_LIMIT_SHM_NOBODY);
    ck_assert_int_eq(decide(&asked, 1, 0, now), AIGW_LIMIT_SHM_YES); /* nothing is held by this */
    aigw_limit_shm_settle(shm, &count, 0, now);                      /* was given back already */
    ck_assert_int_eq(left(&slots, 1), 2);
    ck_assert_int_eq(aigw_limit_shm_join(shm, now), APR_SUCCESS);
    aigw_limit_shm_settle(shm, &asked, 0, now);
}
END_TEST

START_TEST(so_much_can_be_noted)
{
    static const aigw_rate_t many = {.amount = 1000};
    aigw_limit_count_t first = of(&many, 1, 1), count = first;
    int i;

    ck_assert_int_eq(decide(&first, 1, 1, now), AIGW_LIMIT_SHM_YES);
    for (i = 1; i < 256; i++) {
        MUST(decide(&count, 1, 1, now) == AIGW_LIMIT_SHM_YES);
    }
    ck_assert_int_eq(decide(&count, 1, 1, now), AIGW_LIMIT_SHM_HOLDS);
    ck_assert_int_eq(count.charged, 0);
    ck_assert_int_eq(left(&many, 1), 1000 - 256);
    aigw_limit_shm_settle(shm, &first, 0, now);
    ck_assert_int_eq(decide(&count, 1, 1, now), AIGW_LIMIT_SHM_YES);
}
END_TEST

START_TEST(where_all_are_active_there_is_no_room_but_to_share)
{
    aigw_limit_count_t count, pair[2];
    unsigned who = 0;
    int which;

    do {
        count = of(&one_an_hour, ++who, 1);
    } while (decide(&count, 1, 0, now) == AIGW_LIMIT_SHM_YES);
    ck_assert_uint_gt(who, 512); /* the stripes are not filled alike */
    pair[0] = of(&one_an_hour, 1, 0);
    pair[1] = count;
    ck_assert_int_eq(aigw_limit_shm_decide(shm, pair, 2, 0, now, &which), AIGW_LIMIT_SHM_FULL);
    ck_assert_int_eq(which, 1);
    pair[1].spare = 1;
    ck_assert_int_eq(decide(pair, 2, 0, now), AIGW_LIMIT_SHM_YES);
    ck_assert_int_eq(decide(pair, 2, 0, now), AIGW_LIMIT_SHM_NO);
    for (; who > 1; who--) {
        MUST(left(&one_an_hour, who - 1) == 0); /* no active one has gone */
    }
    for (who = 100000; who < 100200; who++) {
        count = of(&one_an_hour, who, 1);
        MUST(decide(&count, 1, 0, now + 2 * one_an_hour.window) == AIGW_LIMIT_SHM_YES);
    }
    ck_assert_uint_gt(sums().evicted, 0);
}
END_TEST

/* One entry a stripe: where both are of one stripe, the second must not put out the first that was found just now. */
START_TEST(what_one_decision_finds_stays_until_it_is_over)
{
    aigw_limit_shm_t *small, *big = shm;
    apr_time_t at = now;
    unsigned who, full = 0;

    ck_assert_int_eq(aigw_limit_shm_make(&small, 16, 1, secret, pool), APR_SUCCESS);
    shm = small;
    for (who = 2; who < 200; who++, at += 2 * one_an_hour.window) {
        aigw_limit_count_t pair[2] = {of(&one_an_hour, 1, 1), of(&one_an_hour, who, 1)};
        int which;

        if (aigw_limit_shm_decide(small, pair, 2, 0, at, &which) == AIGW_LIMIT_SHM_FULL) {
            MUST(which == 1 && !pair[0].charged);
            full++;
        }
        else {
            MUST(decide(&pair[0], 1, 0, at) == AIGW_LIMIT_SHM_NO && decide(&pair[1], 1, 0, at) == AIGW_LIMIT_SHM_NO);
        }
    }
    shm = big;
    ck_assert(full > 0 && full < 100);
}
END_TEST

/* Two processes, one of which reads the clock and then waits for the lock while the other one is through, again and again at the end of each slice: nothing is forgotten earlier for that. */
static void check_late_ones(aigw_rate_algorithm_e algorithm, unsigned who)
{
    const aigw_rate_t quick = {algorithm, 1000, APR_USEC_PER_SEC * 15, 1000};
    aigw_limit_count_t first = of(&quick, who, 600), count;
    apr_time_t at = now;
    int i;

    ck_assert_int_eq(decide(&first, 1, 0, at), AIGW_LIMIT_SHM_YES);
    at += APR_USEC_PER_SEC;
    for (i = 0; i < 200; i++) {
        count = of(&quick, who, 1);
        ck_assert_int_eq(decide(&count, 1, 0, i % 2 ? at - 10000 : at), AIGW_LIMIT_SHM_YES);
        ck_assert_int_eq(count.charged_at, at);
        if (i % 4 == 1) {
            aigw_limit_shm_settle(shm, &count, 2, at - 10000);
        }
    }
    count = of(&quick, who, 0);
    ck_assert_int_eq(decide(&count, 1, 0, at), AIGW_LIMIT_SHM_YES);
    ck_assert_int_eq(count.left, 1000 - 600 - 200 - 50 + (algorithm == AIGW_RATE_TOKEN_BUCKET ? 1000 / 15 : 0));
}

START_TEST(who_comes_late_with_his_time_turns_no_clock_back)
{
    check_late_ones(AIGW_RATE_SLIDING_WINDOW, 1);
    check_late_ones(AIGW_RATE_TOKEN_BUCKET, 2);
}
END_TEST

Suite *suite_limit_shm(void)
{
    Suite *suite = suite_create("limit_shm");
    TCase *tc = tcase_create("limit_shm");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, slots_are_taken_and_given_back_once);
    tcase_add_test(tc, tokens_are_reserved_and_settled);
    tcase_add_test(tc, all_or_none);
    tcase_add_test(tc, a_soft_one_does_not_refuse);
    tcase_add_test(tc, what_a_dead_process_held_is_given_back);
    tcase_add_test(tc, who_has_left_holds_nothing_more);
    tcase_add_test(tc, so_much_can_be_noted);
    tcase_add_test(tc, where_all_are_active_there_is_no_room_but_to_share);
    tcase_add_test(tc, what_one_decision_finds_stays_until_it_is_over);
    tcase_add_test(tc, who_comes_late_with_his_time_turns_no_clock_back);
    suite_add_tcase(suite, tc);
    return suite;
}
