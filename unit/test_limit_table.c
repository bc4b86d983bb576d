/* aigw_limit_table */
#include "suites.h"
#include "aigw_limit_table.h"

#include <stdlib.h>
#include <string.h>

static const unsigned char secret[AIGW_LIMIT_SECRET] = "sixteen letters";

static void *block;

static aigw_limit_table_t *table_of(apr_uint32_t entries)
{
    block = aligned_alloc(64, APR_ALIGN(aigw_limit_table_size(entries), 64));
    ck_assert_ptr_nonnull(block);
    memset(block, 0, aigw_limit_table_size(entries));
    return aigw_limit_table_init(block, entries, secret);
}

static void teardown(void)
{
    free(block);
    block = NULL;
}

static const unsigned char *key(unsigned n)
{
    static unsigned char bytes[AIGW_LIMIT_KEY];
    const unsigned hash = n * 2654435761u;

    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &hash, sizeof hash);
    memcpy(bytes + 8, &n, sizeof n);
    return bytes;
}

/* A key, and its hash. */
#define HASHED(k) k, aigw_limit_table_hash(k, secret)

static void active(aigw_limit_table_t *table, unsigned n, apr_time_t now, apr_time_t until)
{
    aigw_limit_entry_t *entry = aigw_limit_table_get(table, HASHED(key(n)), now);

    MUST(entry != NULL);
    entry->idle_from = until;
    entry->state.of.bucket.full_at = n;
}

static int has(aigw_limit_table_t *table, unsigned n)
{
    aigw_limit_entry_t *entry = aigw_limit_table_find(table, HASHED(key(n)));

    MUST(!entry || entry->state.of.bucket.full_at == (apr_int64_t)n);
    return entry != NULL;
}

static apr_uint32_t used(const aigw_limit_table_t *table)
{
    apr_uint32_t entries, n;
    apr_uint64_t evicted;

    aigw_limit_table_count(table, &entries, &n, &evicted);
    return n;
}

START_TEST(one_entry_a_key)
{
    aigw_limit_table_t *table = table_of(10);

    ck_assert_int_eq(has(table, 1), 0);
    active(table, 1, 0, 100);
    ck_assert_int_eq(has(table, 1), 1);
    ck_assert_int_eq(has(table, 2), 0);
    ck_assert_ptr_eq(aigw_limit_table_get(table, HASHED(key(1)), 0), aigw_limit_table_find(table, HASHED(key(1))));
    ck_assert_uint_eq(used(table), 1);
}
END_TEST

START_TEST(the_idle_one_used_longest_ago_goes)
{
    aigw_limit_table_t *table = table_of(3);

    active(table, 1, 0, 10);
    active(table, 2, 0, 10);
    active(table, 3, 0, 10);
    ck_assert_int_eq(has(table, 1), 1); /* 2 is the oldest now */
    active(table, 4, 10, 20);
    ck_assert_int_eq(has(table, 2), 0);
    ck_assert(has(table, 1) && has(table, 3) && has(table, 4));
    ck_assert_uint_eq(used(table), 3);
}
END_TEST

START_TEST(an_active_one_never_goes)
{
    aigw_limit_table_t *table = table_of(3);

    active(table, 1, 0, 100);
    active(table, 2, 0, 100);
    active(table, 3, 0, 10);
    ck_assert_ptr_null(aigw_limit_table_get(table, HASHED(key(4)), 9));
    active(table, 4, 10, 100);
    ck_assert(has(table, 1) && has(table, 2) && has(table, 4) && !has(table, 3));
    ck_assert_ptr_null(aigw_limit_table_get(table, HASHED(key(5)), 99));
    aigw_limit_table_find(table, HASHED(key(1)))->held = 1;
    ck_assert_ptr_nonnull(aigw_limit_table_get(table, HASHED(key(5)), 100));
    ck_assert_ptr_nonnull(aigw_limit_table_get(table, HASHED(key(6)), 100));
    aigw_limit_table_find(table, HASHED(key(5)))->idle_from = aigw_limit_table_find(table, HASHED(key(6)))->idle_from = 500;
    ck_assert_ptr_null(aigw_limit_table_get(table, HASHED(key(7)), 100)); /* 1 holds a slot */
    ck_assert_int_eq(has(table, 1), 1);
}
END_TEST

START_TEST(spare_ones_are_for_those_who_share)
{
    aigw_limit_table_t *table = table_of(2);
    unsigned i;

    active(table, 1, 0, 100);
    active(table, 2, 0, 100);
    ck_assert_ptr_null(aigw_limit_table_get(table, HASHED(key(3)), 50));
    for (i = 0; i < AIGW_LIMIT_SPARE; i++) {
        aigw_limit_entry_t *entry = aigw_limit_table_get_spare(table, HASHED(key(100 + i)), 50);

        MUST(entry != NULL);
        entry->idle_from = 60;
    }
    ck_assert_ptr_null(aigw_limit_table_get_spare(table, HASHED(key(3)), 50));
    ck_assert_ptr_null(aigw_limit_table_get(table, HASHED(key(3)), 50));
    ck_assert_ptr_nonnull(aigw_limit_table_get_spare(table, HASHED(key(100)), 50)); /* it is there */
    for (i = 0; i < 2 * AIGW_LIMIT_SPARE && used(table) > 3; i++) {
        MUST(aigw_limit_table_get(table, HASHED(key(1000 + i)), 60) != NULL); /* they are given back, one with each, but for the last */
    }
    ck_assert_uint_eq(used(table), 3);
}
END_TEST

START_TEST(an_idle_one_among_many_active_ones_is_found_in_the_end)
{
    enum { N = 1000 };
    aigw_limit_table_t *table = table_of(N);
    unsigned i, tries = 1;

    for (i = 0; i < N; i++) {
        active(table, i, 0, i == N - 1 ? 5 : 100);
    }
    while (!aigw_limit_table_get(table, HASHED(key(N)), 50)) {
        tries++;
        MUST(tries <= N / 32 + 1);
    }
    ck_assert_uint_gt(tries, 1);
    ck_assert_int_eq(has(table, N - 1), 0);
}
END_TEST

START_TEST(a_number_for_each)
{
    aigw_limit_table_t *table = table_of(4);
    aigw_limit_entry_t *one = aigw_limit_table_get(table, HASHED(key(1)), 0), *two = aigw_limit_table_get(table, HASHED(key(2)), 0);

    ck_assert_uint_gt(aigw_limit_table_place(table, one), 0);
    ck_assert_uint_ne(aigw_limit_table_place(table, one), aigw_limit_table_place(table, two));
    ck_assert_ptr_eq(aigw_limit_table_at(table, aigw_limit_table_place(table, two)), two);
}
END_TEST

/* Against a plain list, with what a crash may leave behind now and then. */
START_TEST(many_of_them)
{
    enum { N = 500, KEYS = 2000 };
    aigw_limit_table_t *table = table_of(N);
    apr_time_t until[KEYS] = {0}, now = 1;
    unsigned seed = 3, i, refused = 0;

    for (i = 0; i < 200000; i++, now++) {
        unsigned n;
        aigw_limit_entry_t *entry;

        seed = seed * 1103515245u + 12345u;
        n = (seed >> 8) % KEYS;
        entry = aigw_limit_table_get(table, HASHED(key(n)), now);
        if (until[n] > now) {
            MUST(entry && entry->state.of.bucket.full_at == (apr_int64_t)n); /* it was active: it is still there */
        }
        refused += !entry;
        if (entry) {
            entry->state.of.bucket.full_at = n;
            entry->idle_from = until[n] = now + (seed >> 18) % 3000;
        }
        if (i % 10007 == 0) {
            memset((char *)block + 12, 0xff, 8); /* the count and the free ones */
            aigw_limit_table_repair(table);
        }
        MUST(used(table) <= N);
    }
    ck_assert_uint_eq(used(table), N);
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_lt(refused, 100000);
}
END_TEST

Suite *suite_limit_table(void)
{
    Suite *suite = suite_create("limit_table");
    TCase *tc = tcase_create("limit_table");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, one_entry_a_key);
    tcase_add_test(tc, the_idle_one_used_longest_ago_goes);
    tcase_add_test(tc, an_active_one_never_goes);
    tcase_add_test(tc, spare_ones_are_for_those_who_share);
    tcase_add_test(tc, an_idle_one_among_many_active_ones_is_found_in_the_end);
    tcase_add_test(tc, a_number_for_each);
    tcase_add_test(tc, many_of_them);
    suite_add_tcase(suite, tc);
    return suite;
}
