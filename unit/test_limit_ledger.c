/* aigw_limit_ledger */
#include "suites.h"
#include "aigw_limit_ledger.h"

#include <stdlib.h>

#define HOLDS 4

static void *block;
static aigw_limit_ledger_t *ledger;

static void setup(void)
{
    block = calloc(1, aigw_limit_ledger_size(HOLDS));
    ledger = aigw_limit_ledger_init(block, HOLDS);
}

static void teardown(void)
{
    free(block);
}

static apr_uint64_t note(apr_uint64_t owner)
{
    apr_uint64_t id;
    aigw_limit_hold_t *hold = aigw_limit_ledger_take(ledger, &id);

    hold->owner = owner;
    hold->id = id;
    return id;
}

static void forget(apr_uint64_t id)
{
    aigw_limit_hold_t *hold = aigw_limit_ledger_find(ledger, id);

    MUST(hold != NULL);
    hold->id = 0;
    aigw_limit_ledger_give(ledger, hold);
}

static int count(void)
{
    apr_uint32_t place = 0;
    int n = 0;

    while (aigw_limit_ledger_next(ledger, &place)) {
        n++;
    }
    return n;
}

START_TEST(what_is_noted_is_found_until_it_is_given_back)
{
    const apr_uint64_t one = note(1), two = note(2);

    ck_assert_uint_ne(one, two);
    ck_assert_uint_ne(one, 0);
    ck_assert_uint_eq(aigw_limit_ledger_find(ledger, one)->owner, 1);
    ck_assert_uint_eq(aigw_limit_ledger_find(ledger, two)->owner, 2);
    ck_assert_ptr_null(aigw_limit_ledger_find(ledger, 0));
    ck_assert_ptr_null(aigw_limit_ledger_find(ledger, 77));
    ck_assert_int_eq(count(), 2);
    forget(one);
    ck_assert_ptr_null(aigw_limit_ledger_find(ledger, one));
    ck_assert_int_eq(count(), 1);
    ck_assert_uint_ne(note(3), one); /* the same place, another name */
    ck_assert_ptr_null(aigw_limit_ledger_find(ledger, one));
}
END_TEST

START_TEST(it_is_full_and_has_room_again)
{
    apr_uint64_t id[HOLDS];
    int i;

    for (i = 0; i < HOLDS; i++) {
        ck_assert_uint_eq(aigw_limit_ledger_room(ledger), (unsigned)(HOLDS - i));
        id[i] = note(1);
    }
    ck_assert_uint_eq(aigw_limit_ledger_room(ledger), 0);
    forget(id[2]);
    ck_assert_uint_eq(aigw_limit_ledger_room(ledger), 1);
    ck_assert_ptr_eq(aigw_limit_ledger_at(ledger, 3), aigw_limit_ledger_find(ledger, note(1)));
}
END_TEST

START_TEST(mended_it_has_what_has_a_name)
{
    apr_uint64_t id, one = note(1);
    aigw_limit_hold_t *hold;

    note(2);
    hold = aigw_limit_ledger_take(ledger, &id); /* died before it had a name */
    ck_assert_uint_eq(aigw_limit_ledger_place(ledger, hold), 3);
    aigw_limit_ledger_find(ledger, one)->id = 0; /* died before it was back */
    aigw_limit_ledger_repair(ledger);
    ck_assert_int_eq(count(), 1);
    ck_assert_uint_eq(aigw_limit_ledger_room(ledger), HOLDS - 1);
    note(1), note(1), note(1);
    ck_assert_uint_eq(aigw_limit_ledger_room(ledger), 0);
    ck_assert_int_eq(count(), HOLDS);
}
END_TEST

Suite *suite_limit_ledger(void)
{
    Suite *suite = suite_create("limit_ledger");
    TCase *tc = tcase_create("limit_ledger");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_noted_is_found_until_it_is_given_back);
    tcase_add_test(tc, it_is_full_and_has_room_again);
    tcase_add_test(tc, mended_it_has_what_has_a_name);
    suite_add_tcase(suite, tc);
    return suite;
}
