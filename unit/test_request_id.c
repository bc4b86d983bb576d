/* aigw_request_id */
#include "suites.h"
#include "aigw_request_id.h"

#include <string.h>

START_TEST(what_the_wire_allows_is_valid)
{
    char longest[AIGW_REQUEST_ID_MAX + 1];

    ck_assert_int_eq(aigw_request_id_valid("a"), 1);
    ck_assert_int_eq(aigw_request_id_valid("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"), 1);
    memset(longest, 'x', AIGW_REQUEST_ID_MAX);
    longest[AIGW_REQUEST_ID_MAX] = '\0';
    ck_assert_int_eq(aigw_request_id_valid(longest), 1);
}
END_TEST

START_TEST(anything_else_is_not)
{
    char too_long[AIGW_REQUEST_ID_MAX + 2];

    ck_assert_int_eq(aigw_request_id_valid(NULL), 0);
    ck_assert_int_eq(aigw_request_id_valid(""), 0);
    memset(too_long, 'x', AIGW_REQUEST_ID_MAX + 1);
    too_long[AIGW_REQUEST_ID_MAX + 1] = '\0';
    ck_assert_int_eq(aigw_request_id_valid(too_long), 0);
}
END_TEST

START_TEST(exactly_66_characters_are_allowed)
{
    char s[4] = "a?b";
    int c, n = 0;

    for (c = 1; c < 256; ++c) {
        s[1] = (char)c;
        n += aigw_request_id_valid(s);
        ck_assert_int_eq(aigw_request_id_valid(s),
                         c < 128 && (strchr("._:-", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')));
    }
    ck_assert_int_eq(n, 66);
}
END_TEST

START_TEST(random_bytes_become_a_version_4_uuid)
{
    static const unsigned char zeros[16], counted[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xef};
    unsigned char ones[16];
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    memset(ones, 0xff, sizeof(ones));
    ck_assert_str_eq(aigw_request_id_format(p, zeros), "00000000-0000-4000-8000-000000000000");
    ck_assert_str_eq(aigw_request_id_format(p, ones), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    ck_assert_str_eq(aigw_request_id_format(p, counted), "00010203-0405-4607-8809-0a0b0c0d0eef");
    ck_assert_int_eq(aigw_request_id_valid(aigw_request_id_format(p, counted)), 1);
    apr_pool_destroy(p);
}
END_TEST

Suite *suite_request_id(void)
{
    Suite *s = suite_create("request_id");
    TCase *c = tcase_create("request_id");

    tcase_add_test(c, what_the_wire_allows_is_valid);
    tcase_add_test(c, anything_else_is_not);
    tcase_add_test(c, exactly_66_characters_are_allowed);
    tcase_add_test(c, random_bytes_become_a_version_4_uuid);
    suite_add_tcase(s, c);
    return s;
}
