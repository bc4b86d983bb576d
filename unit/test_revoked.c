/* aigw_revoked */
#include "suites.h"
#include "aigw_revoked.h"

#include <stdlib.h>
#include <string.h>

#define SMALL 16

static void *block;
static aigw_revoked_t *table;

static aigw_revoked_t *make(apr_uint32_t capacity, void **memory)
{
    *memory = calloc(1, aigw_revoked_size(capacity));
    return aigw_revoked_init(*memory, capacity);
}

static void setup(void)
{
    table = make(SMALL, &block);
}

static void teardown(void)
{
    free(block);
}

/* Many of them begin alike, as only an attacker's would: one chain. */
static const unsigned char *id(unsigned n)
{
    static unsigned char bytes[AIGW_REVOKED_ID];

    memset(bytes, 0, sizeof bytes);
    bytes[0] = n & 1;
    memcpy(bytes + 8, &n, sizeof n);
    return bytes;
}

static apr_status_t add(unsigned n, apr_time_t expires, apr_time_t now)
{
    return aigw_revoked_add(table, id(n), expires, now);
}

static int have(unsigned n)
{
    return aigw_revoked_have(table, id(n));
}

static void fill(apr_time_t expires)
{
    unsigned n;

    for (n = 0; n < SMALL; n++) {
        MUST(add(n, expires, 1) == APR_SUCCESS);
    }
}

START_TEST(an_empty_table_has_nothing)
{
    ck_assert_int_eq(have(1), 0);
    ck_assert_int_eq(aigw_revoked_count(table), 0);
    ck_assert_int_eq(aigw_revoked_capacity(table), SMALL);
}
END_TEST

START_TEST(what_is_added_is_there)
{
    ck_assert_int_eq(add(1, 100, 1), APR_SUCCESS);
    ck_assert_int_eq(have(1), 1);
    ck_assert_int_eq(have(2), 0);
    ck_assert_int_eq(have(3), 0); /* of the same chain */
    ck_assert_int_eq(aigw_revoked_count(table), 1);
}
END_TEST

START_TEST(twice_is_once_and_the_later_time_holds)
{
    fill(100);
    ck_assert_int_eq(add(3, 50, 1), APR_SUCCESS);
    ck_assert_int_eq(add(4, 200, 1), APR_SUCCESS);
    ck_assert_int_eq(aigw_revoked_count(table), SMALL);
    ck_assert_int_eq(add(99, 300, 100), APR_SUCCESS); /* all but 4 have expired */
    ck_assert_int_eq(have(3), 0);
    ck_assert_int_eq(have(4), 1);
    ck_assert_int_eq(aigw_revoked_count(table), 2);
}
END_TEST

START_TEST(what_has_expired_is_not_added)
{
    ck_assert_int_eq(add(1, 100, 100), APR_SUCCESS);
    ck_assert_int_eq(have(1), 0);
}
END_TEST

START_TEST(a_full_table_drops_nothing_that_has_not_expired)
{
    unsigned n;

    fill(100);
    ck_assert_int_eq(add(99, 500, 99), APR_ENOSPC);
    ck_assert_int_eq(have(99), 0);
    for (n = 0; n < SMALL; n++) {
        ck_assert_int_eq(have(n), 1);
    }
    ck_assert_int_eq(add(99, 500, 100), APR_SUCCESS);
    ck_assert_int_eq(have(99), 1);
    ck_assert_int_eq(aigw_revoked_count(table), 1);
}
END_TEST

START_TEST(room_is_made_one_at_a_time)
{
    unsigned n;

    for (n = 0; n < SMALL; n++) {
        ck_assert_int_eq(add(n, 100 + n, 1), APR_SUCCESS);
    }
    for (n = 0; n < 10 * SMALL; n++) { /* at each moment one of them expires */
        ck_assert_int_eq(add(1000 + n, 100 + SMALL + n, 100 + n), APR_SUCCESS);
        ck_assert_int_eq(add(5000, 900, 100 + n), APR_ENOSPC);
        ck_assert_int_eq(have(1000 + n), 1);
    }
}
END_TEST

START_TEST(after_a_repair_all_is_there)
{
    unsigned n;

    fill(100);
    ck_assert_int_eq(add(99, 500, 100), APR_SUCCESS);
    ck_assert_int_eq(add(98, 400, 100), APR_SUCCESS);
    memset((char *)block + aigw_revoked_size(SMALL) - SMALL * sizeof(apr_uint32_t), 0xff, SMALL * sizeof(apr_uint32_t)); /* the heads */
    aigw_revoked_repair(table);
    ck_assert_int_eq(have(99), 1);
    ck_assert_int_eq(have(98), 1);
    ck_assert_int_eq(have(3), 0);
    ck_assert_int_eq(aigw_revoked_count(table), 2);
    for (n = 0; n < SMALL - 2; n++) {
        ck_assert_int_eq(add(n, 300, 100), APR_SUCCESS);
    }
    ck_assert_int_eq(add(50, 300, 100), APR_ENOSPC);
}
END_TEST

START_TEST(a_copy_has_what_has_not_expired)
{
    aigw_revoked_t *small = table, *large;
    void *memory;
    unsigned n;

    for (n = 0; n < SMALL; n++) {
        ck_assert_int_eq(add(n, n < 5 ? 50 : 100, 1), APR_SUCCESS);
    }
    large = make(1000, &memory);
    ck_assert_int_eq(aigw_revoked_copy(large, small, 50), APR_SUCCESS);
    ck_assert_int_eq(aigw_revoked_count(large), SMALL - 5);
    table = large;
    for (n = 0; n < SMALL; n++) {
        ck_assert_int_eq(have(n), n >= 5);
    }
    for (n = 0; n < 900; n++) {
        ck_assert_int_eq(add(100 + n, 100, 1), APR_SUCCESS);
    }
    ck_assert_int_eq(aigw_revoked_copy(small, large, 60), APR_ENOSPC);
    free(memory);
}
END_TEST

START_TEST(many_come_and_go)
{
    void *memory;
    unsigned n, kept = 0;

    table = make(1000, &memory);
    for (n = 0; n < 20000; n++) {
        MUST(add(n, n + 500, n) == APR_SUCCESS);
        MUST(have(n) && have(n - (n < 499 ? 0 : 499)));
    }
    for (n = 0; n < 20000; n++) {
        kept += (unsigned)have(n);
    }
    ck_assert_int_ge(kept, 500);
    ck_assert_int_le(kept, 1000);
    free(memory);
}
END_TEST

Suite *suite_revoked(void)
{
    Suite *s = suite_create("revoked");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_empty_table_has_nothing);
    tcase_add_test(c, what_is_added_is_there);
    tcase_add_test(c, twice_is_once_and_the_later_time_holds);
    tcase_add_test(c, what_has_expired_is_not_added);
    tcase_add_test(c, a_full_table_drops_nothing_that_has_not_expired);
    tcase_add_test(c, room_is_made_one_at_a_time);
    tcase_add_test(c, after_a_repair_all_is_there);
    tcase_add_test(c, a_copy_has_what_has_not_expired);
    tcase_add_test(c, many_come_and_go);
    suite_add_tcase(s, c);
    return s;
}
