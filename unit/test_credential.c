/* aigw_credential */
#include "suites.h"
#include "aigw_credential.h"

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

/* What is found in these fields; *token is what of it, "" where it is not OK. */
static aigw_credential_e found(const char *authorization, const char *x_api_key, const char *api_key, const char *websocket,
                               const char **token)
{
    const aigw_credential_fields_t fields = {authorization, x_api_key, api_key, websocket};
    aigw_credential_t credential;
    aigw_credential_e what = aigw_credential_read(&fields, pool, &credential);

    *token = what == AIGW_CREDENTIAL_OK ? credential.token : "";
    if (what == AIGW_CREDENTIAL_OK) {
        ck_assert_uint_eq(credential.len, strlen(credential.token));
    }
    return what;
}

START_TEST(each_place_counts)
{
    const char *token;

    ck_assert_int_eq(found("Bearer abc", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "abc");
    ck_assert_int_eq(found(NULL, "abc", NULL, NULL, &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "abc");
    ck_assert_int_eq(found(NULL, NULL, "abc", NULL, &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "abc");
    ck_assert_int_eq(found(NULL, NULL, NULL, "aigw.bearer.abc", &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "abc");
    ck_assert_int_eq(found(NULL, NULL, NULL, "chat, aigw.bearer.a.b.c ,x", &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "a.b.c");
}
END_TEST

START_TEST(the_scheme_is_bearer_in_any_case)
{
    const char *token;

    ck_assert_int_eq(found("bEARER  \t abc \t", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "abc");
    ck_assert_int_eq(found("Bearer\tabc", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_OK);
    ck_assert_int_eq(found("Bearerabc", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_NONE);
    ck_assert_int_eq(found("Bear", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_NONE);
    ck_assert_int_eq(found("Basic abc", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_NONE);
    ck_assert_int_eq(found("abc", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_NONE);
}
END_TEST

START_TEST(nothing_is_none)
{
    const char *token;

    ck_assert_int_eq(found(NULL, NULL, NULL, NULL, &token), AIGW_CREDENTIAL_NONE);
    ck_assert_int_eq(found("", "", "", "", &token), AIGW_CREDENTIAL_NONE);
    ck_assert_int_eq(found("Bearer", " ", "\t", " , ,", &token), AIGW_CREDENTIAL_NONE);
    ck_assert_int_eq(found("Bearer ", NULL, NULL, "chat, aigw.bearer., aigw.bearer", &token), AIGW_CREDENTIAL_NONE);
}
END_TEST

START_TEST(the_same_one_twice_is_one)
{
    const char *token;

    ck_assert_int_eq(found("Bearer abc", "abc", " abc ", "aigw.bearer.abc, aigw.bearer.abc", &token), AIGW_CREDENTIAL_OK);
    ck_assert_str_eq(token, "abc");
    ck_assert_int_eq(found("Basic x", "abc", "", NULL, &token), AIGW_CREDENTIAL_OK);
}
END_TEST

START_TEST(two_that_differ_are_too_many)
{
    const char *token;

    ck_assert_int_eq(found("Bearer abc", "abd", NULL, NULL, &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found("Bearer abc", "abcd", NULL, NULL, &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found("Bearer abcd", "abc", NULL, NULL, &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found(NULL, "ABC", "abc", NULL, &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found(NULL, NULL, "abc", "aigw.bearer.x", &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found(NULL, NULL, NULL, "aigw.bearer.x,aigw.bearer.y", &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found("Bearer abc, Bearer abd", NULL, NULL, NULL, &token), AIGW_CREDENTIAL_MULTIPLE);
    ck_assert_int_eq(found(NULL, "abc, abc", NULL, NULL, &token), AIGW_CREDENTIAL_MULTIPLE);
}
END_TEST

START_TEST(what_may_not_be_in_a_token_is_bad)
{
    const char *token;
    char s[] = "a?b";
    int c;

    for (c = 1; c < 256; c++) {
        s[1] = (char)c;
        ck_assert_int_eq(found(NULL, s, NULL, NULL, &token), c == ','                                    ? AIGW_CREDENTIAL_MULTIPLE
                                                             : c > ' ' && c < 127 && !strchr(";\"\\", c) ? AIGW_CREDENTIAL_OK
                                                                                                         : AIGW_CREDENTIAL_BAD);
    }
    /* a good one elsewhere does not make up for it */
    ck_assert_int_eq(found("Bearer abc", "a b", NULL, NULL, &token), AIGW_CREDENTIAL_BAD);
    ck_assert_int_eq(found("Bearer a b", "abc", NULL, NULL, &token), AIGW_CREDENTIAL_BAD);
}
END_TEST

START_TEST(a_token_has_8192_bytes_at_most)
{
    char s[AIGW_CREDENTIAL_MAX + 2];
    const char *token;

    memset(s, 'x', sizeof s);
    s[AIGW_CREDENTIAL_MAX] = '\0';
    ck_assert_int_eq(found(NULL, s, NULL, NULL, &token), AIGW_CREDENTIAL_OK);
    s[AIGW_CREDENTIAL_MAX] = 'x';
    s[AIGW_CREDENTIAL_MAX + 1] = '\0';
    ck_assert_int_eq(found(NULL, s, NULL, NULL, &token), AIGW_CREDENTIAL_BAD);
}
END_TEST

Suite *suite_credential(void)
{
    Suite *s = suite_create("credential");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, each_place_counts);
    tcase_add_test(c, the_scheme_is_bearer_in_any_case);
    tcase_add_test(c, nothing_is_none);
    tcase_add_test(c, the_same_one_twice_is_one);
    tcase_add_test(c, two_that_differ_are_too_many);
    tcase_add_test(c, what_may_not_be_in_a_token_is_bad);
    tcase_add_test(c, a_token_has_8192_bytes_at_most);
    suite_add_tcase(s, c);
    return s;
}
