/* aigw_names */
#include "suites.h"
#include "aigw_names.h"

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

static apr_array_header_t *list(apr_pool_t *p, const char *a, const char *b)
{
    apr_array_header_t *names = apr_array_make(p, 2, sizeof(const char *));

    if (a) {
        APR_ARRAY_PUSH(names, const char *) = a;
    }
    if (b) {
        APR_ARRAY_PUSH(names, const char *) = b;
    }
    return names;
}

START_TEST(a_name_is_there_or_not)
{
    apr_array_header_t *names = list(pool, "chat", "chat:*");

    ck_assert_int_eq(aigw_names_have(names, "chat"), 1);
    ck_assert_int_eq(aigw_names_have(names, "chat:*"), 1);
    ck_assert_int_eq(aigw_names_have(names, "chat:write"), 0);
    ck_assert_int_eq(aigw_names_have(names, "Chat"), 0);
    ck_assert_int_eq(aigw_names_have(names, "cha"), 0);
    ck_assert_int_eq(aigw_names_have(names, ""), 0);
    ck_assert_int_eq(aigw_names_have(list(pool, NULL, NULL), "chat"), 0);
    ck_assert_int_eq(aigw_names_have(NULL, "chat"), 0);
}
END_TEST

START_TEST(patterns_allow)
{
    apr_array_header_t *patterns = list(pool, "gpt-4*", "small-[12]");

    ck_assert_int_eq(aigw_names_allow(patterns, "gpt-4"), 1);
    ck_assert_int_eq(aigw_names_allow(patterns, "gpt-4o/x"), 1);
    ck_assert_int_eq(aigw_names_allow(patterns, "gpt-3"), 0);
    ck_assert_int_eq(aigw_names_allow(patterns, "GPT-4"), 0);
    ck_assert_int_eq(aigw_names_allow(patterns, "xgpt-4"), 0);
    ck_assert_int_eq(aigw_names_allow(patterns, "small-2"), 1);
    ck_assert_int_eq(aigw_names_allow(patterns, "small-3"), 0);
}
END_TEST

START_TEST(no_list_allows_everything_and_an_empty_one_nothing)
{
    ck_assert_int_eq(aigw_names_allow(NULL, "x"), 1);
    ck_assert_int_eq(aigw_names_allow(list(pool, NULL, NULL), "x"), 0);
}
END_TEST

START_TEST(a_copy_does_not_need_the_original)
{
    apr_array_header_t *copy;
    apr_pool_t *other;
    char name[] = "chat";

    apr_pool_create(&other, NULL);
    copy = aigw_names_copy(pool, list(other, name, "b"));
    memset(name, 'x', 4);
    apr_pool_destroy(other);
    ck_assert_int_eq(copy->nelts, 2);
    ck_assert_int_eq(aigw_names_have(copy, "chat"), 1);
    ck_assert_int_eq(aigw_names_have(copy, "b"), 1);
    ck_assert_ptr_null(aigw_names_copy(pool, NULL));
}
END_TEST

START_TEST(names_that_may_stand_anywhere)
{
    char name[AIGW_NAME_MAX + 2];

    memset(name, 'x', sizeof name);
    ck_assert(aigw_names_valid(name, AIGW_NAME_MAX));
    ck_assert(!aigw_names_valid(name, AIGW_NAME_MAX + 1));
    ck_assert(!aigw_names_valid("", 0));
    ck_assert(aigw_names_valid("a b\xc3\xa4\xf0\x9f\x98\x80", 9));
    ck_assert(!aigw_names_valid("a\0b", 3));
    ck_assert(!aigw_names_valid("a\x1b", 2));
    ck_assert(!aigw_names_valid("a\x7f", 2));
    ck_assert(!aigw_names_valid("a\xc2\x9b", 3));
    ck_assert(aigw_names_valid("a\xc2\xa0", 3));
    ck_assert(!aigw_names_valid("a\xc2", 2));
    ck_assert(!aigw_names_valid("\xed\xa0\x80", 3));
}
END_TEST

Suite *suite_names(void)
{
    Suite *s = suite_create("names");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_name_is_there_or_not);
    tcase_add_test(c, patterns_allow);
    tcase_add_test(c, no_list_allows_everything_and_an_empty_one_nothing);
    tcase_add_test(c, a_copy_does_not_need_the_original);
    tcase_add_test(c, names_that_may_stand_anywhere);
    suite_add_tcase(s, c);
    return s;
}
