/* aigw_claims_cache */
#include "suites.h"
#include "aigw_claims_cache.h"

#include <apr_thread_proc.h>

#include <string.h>

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* Digests of one set begin with the same bytes. */
static const unsigned char *digest(unsigned char set, unsigned char n)
{
    static unsigned char bytes[4][32];
    static int next;
    unsigned char *at = bytes[next++ % 4];

    memset(at, 0, 32);
    at[3] = set;
    at[31] = n;
    return at;
}

static int has(aigw_claims_cache_t *cache, const unsigned char *key, apr_time_t now)
{
    const void *beside;
    json_t *claims = aigw_claims_cache_find(cache, key, now, &beside);
    int n = claims ? (int)json_integer_value(json_object_get(claims, "n")) : 0;

    json_decref(claims);
    return n;
}

static void add(aigw_claims_cache_t *cache, const unsigned char *key, apr_time_t now, apr_time_t until, int n)
{
    json_t *claims = json_pack("{s:i}", "n", n);

    aigw_claims_cache_add(cache, key, now, until, claims, pool);
    json_decref(claims);
}

START_TEST(kept_until_its_time)
{
    aigw_claims_cache_t *cache = aigw_claims_cache_make(pool, 64);
    const void *beside = NULL;
    json_t *claims;

    ck_assert_int_eq(has(cache, digest(1, 1), 0), 0);
    add(cache, digest(1, 1), 100, 200, 7);
    ck_assert_int_eq(has(cache, digest(1, 1), 100), 7);
    ck_assert_int_eq(has(cache, digest(1, 1), 199), 7);
    ck_assert_int_eq(has(cache, digest(1, 2), 199), 0);
    claims = aigw_claims_cache_find(cache, digest(1, 1), 150, &beside);
    ck_assert_ptr_eq(beside, pool);
    ck_assert_int_eq(has(cache, digest(1, 1), 200), 0);
    ck_assert_int_eq(has(cache, digest(1, 1), 150), 0);                         /* gone for good */
    ck_assert_int_eq((int)json_integer_value(json_object_get(claims, "n")), 7); /* but not for who has it */
    json_decref(claims);
    add(cache, digest(1, 1), 200, 200, 7);
    ck_assert_int_eq(has(cache, digest(1, 1), 199), 0);
}
END_TEST

START_TEST(the_last_byte_counts)
{
    aigw_claims_cache_t *cache = aigw_claims_cache_make(pool, 64);

    add(cache, digest(1, 1), 0, 100, 1);
    add(cache, digest(1, 2), 0, 100, 2);
    ck_assert_int_eq(has(cache, digest(1, 1), 0), 1);
    ck_assert_int_eq(has(cache, digest(1, 2), 0), 2);
    add(cache, digest(1, 1), 0, 100, 3);
    ck_assert_int_eq(has(cache, digest(1, 1), 0), 3);
}
END_TEST

START_TEST(full)
{
    aigw_claims_cache_t *cache = aigw_claims_cache_make(pool, 1);
    unsigned char n;

    for (n = 1; n <= 8; n++) {
        add(cache, digest(n, n), n, 100, n); /* one set: all fall into it */
    }
    for (n = 1; n <= 8; n++) {
        ck_assert_int_eq(has(cache, digest(n, n), n == 1 ? 50 : 10 + n), n); /* the first is used last */
    }
    add(cache, digest(9, 9), 60, 100, 9);
    ck_assert_int_eq(has(cache, digest(1, 1), 60), 1);
    ck_assert_int_eq(has(cache, digest(2, 2), 60), 0); /* used longest ago */
    ck_assert_int_eq(has(cache, digest(9, 9), 60), 9);
    for (n = 10; n < 18; n++) {
        add(cache, digest(n, n), 100, 200, n); /* the others' time is over: they go first */
    }
    for (n = 10; n < 18; n++) {
        ck_assert_int_eq(has(cache, digest(n, n), 100), n);
    }
}
END_TEST

static void *APR_THREAD_FUNC use(apr_thread_t *thread, void *baton)
{
    aigw_claims_cache_t *cache = baton;
    unsigned char key[32] = {0};
    int i, found;

    for (i = 1; i < 20000; i++) {
        key[3] = (unsigned char)(i % 7);
        key[31] = (unsigned char)(i % 31);
        add(cache, key, i, i + 50, i % 31 + 1);
        found = has(cache, key, i);
        MUST(!found || found == i % 31 + 1);
    }
    return NULL;
}

START_TEST(several_threads)
{
    aigw_claims_cache_t *cache = aigw_claims_cache_make(pool, 24);
    apr_thread_t *threads[3];
    apr_status_t rv;
    int i;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, use, cache, pool), APR_SUCCESS);
    }
    for (i = 0; i < 3; i++) {
        apr_thread_join(&rv, threads[i]);
    }
}
END_TEST

Suite *suite_claims_cache(void)
{
    Suite *suite = suite_create("claims_cache");
    TCase *tc = tcase_create("claims_cache");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, kept_until_its_time);
    tcase_add_test(tc, the_last_byte_counts);
    tcase_add_test(tc, full);
    tcase_add_test(tc, several_threads);
    suite_add_tcase(suite, tc);
    return suite;
}
