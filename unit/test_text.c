/* aigw_text */
#include "suites.h"
#include "aigw_text.h"

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

static apr_size_t length(const char *s)
{
    return aigw_text_length(s, strlen(s));
}

START_TEST(characters_are_counted)
{
    ck_assert_int_eq(length(""), 0);
    ck_assert_int_eq(length("a\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80"), 4);
    ck_assert_int_eq(length("\xff\xc3"), 2);         /* no characters: each byte */
    ck_assert_int_eq(length("\xed\xa0\x80"), 3);     /* a surrogate */
    ck_assert_int_eq(length("\xc0\x80"), 2);         /* longer than needed */
    ck_assert_int_eq(length("\xf4\x90\x80\x80"), 4); /* above U+10FFFF */
    ck_assert_int_eq(aigw_text_length("a\0b", 3), 3);
}
END_TEST

START_TEST(what_is_utf8)
{
    static const char *const no[] = {"\xff", "a\xe9", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\x80"};
    size_t i;

    MUST(aigw_text_valid("", 0));
    MUST(aigw_text_valid("a\0\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80", 11));
    for (i = 0; i < sizeof no / sizeof *no; i++) {
        MUST(!aigw_text_valid(no[i], strlen(no[i])));
    }
}
END_TEST

START_TEST(white_space_says_nothing)
{
    MUST(aigw_text_blank("", 0));
    MUST(aigw_text_blank(" \t\r\n\xc2\xa0\xe3\x80\x80\xef\xbb\xbf", 12));
    MUST(!aigw_text_blank(" a", 2));
    MUST(!aigw_text_blank("\0", 1));
    MUST(!aigw_text_blank("\xff", 1));
}
END_TEST

static void is_json(const char *s, apr_size_t len, const char *expected, apr_size_t expected_len)
{
    json_t *json = aigw_text_json(s, len);

    MUST(json_string_length(json) == expected_len && memcmp(json_string_value(json), expected, expected_len) == 0);
    json_decref(json);
}

START_TEST(any_bytes_become_json)
{
    is_json("a\0\xc3\xa4", 4, "a\0\xc3\xa4", 4);
    is_json(NULL, 0, "", 0);
    is_json("a\xff"
            "b",
            3,
            "a\xef\xbf\xbd"
            "b",
            5);
    is_json("\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd", 6);
}
END_TEST

START_TEST(what_is_shown_is_short_and_clean)
{
    ck_assert_str_eq(aigw_text_shown(pool, "model", 5), "model");
    ck_assert_str_eq(aigw_text_shown(pool, "model-x", 5), "model...");
    ck_assert_str_eq(aigw_text_shown(pool, "\xc3\xa4\xc3\xa4\xc3\xa4", 2), "\xc3\xa4\xc3\xa4...");
    ck_assert_str_eq(aigw_text_shown(pool,
                                     "a\n\x7f\xc2\x85\xe2\x80\xae\xff"
                                     "b",
                                     9),
                     "ab");
    ck_assert_str_eq(aigw_text_shown(pool, "a", 0), "...");
    ck_assert_str_eq(aigw_text_shown(pool, "", 0), "");
}
END_TEST

Suite *suite_text(void)
{
    Suite *s = suite_create("text");
    TCase *c = tcase_create("text");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, characters_are_counted);
    tcase_add_test(c, what_is_utf8);
    tcase_add_test(c, white_space_says_nothing);
    tcase_add_test(c, any_bytes_become_json);
    tcase_add_test(c, what_is_shown_is_short_and_clean);
    suite_add_tcase(s, c);
    return s;
}
