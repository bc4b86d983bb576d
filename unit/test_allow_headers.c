/* aigw_allow_headers */
#include "suites.h"
#include "aigw_allow_headers.h"

#include <apr_strings.h>

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

START_TEST(what_is_known_is_said_back)
{
    ck_assert_str_eq(aigw_allow_headers(pool, "authorization,content-type"), "authorization, content-type");
    ck_assert_str_eq(aigw_allow_headers(pool, "Authorization , X-API-Key\t,api-key"), "authorization, x-api-key, api-key");
    ck_assert_str_eq(aigw_allow_headers(pool, "x-request-id,idempotency-key,traceparent,last-event-id,prefer"),
                     "x-request-id, idempotency-key, traceparent, last-event-id, prefer");
    ck_assert_str_eq(aigw_allow_headers(pool, "openai-organization,openai-project,openai-beta"),
                     "openai-organization, openai-project, openai-beta");
    ck_assert_str_eq(aigw_allow_headers(pool, "X-Stainless-Lang,x-stainless-retry-count"), "x-stainless-lang, x-stainless-retry-count");
}
END_TEST

START_TEST(nothing_else_is)
{
    ck_assert_ptr_null(aigw_allow_headers(pool, NULL));
    ck_assert_ptr_null(aigw_allow_headers(pool, ""));
    ck_assert_ptr_null(aigw_allow_headers(pool, " , ,\t,"));
    ck_assert_ptr_null(aigw_allow_headers(pool, "x-evil,cookie,*,authorizatio,authorizations,x-stainless-,x-stainless"));
    ck_assert_ptr_null(aigw_allow_headers(pool, "authorization content-type"));
    ck_assert_ptr_null(aigw_allow_headers(pool, "x-stainless-a b,x-stainless-\r,x-stainless-\x80,x-stainless-a:b,x-stainless-<script>"));
    ck_assert_str_eq(aigw_allow_headers(pool, "x-evil,content-type,cookie"), "content-type");
}
END_TEST

START_TEST(each_once_and_so_many)
{
    char *many = apr_pstrdup(pool, ""), name[80];
    const char *answer;
    int i, commas = 0;

    ck_assert_str_eq(aigw_allow_headers(pool, "prefer,Prefer,PREFER,x-stainless-os,X-Stainless-OS"), "prefer, x-stainless-os");
    for (i = 0; i < 200; i++) {
        many = apr_psprintf(pool, "%s,x-stainless-%d", many, i);
    }
    answer = aigw_allow_headers(pool, many);
    for (i = 0; answer[i]; i++) {
        commas += answer[i] == ',';
    }
    ck_assert_int_eq(commas + 1, AIGW_ALLOW_HEADERS_MAX);
    memset(name, 'x', sizeof name);
    memcpy(name, "x-stainless-", 12);
    name[64] = '\0';
    ck_assert_str_eq(aigw_allow_headers(pool, name), name);
    name[64] = 'x';
    name[65] = '\0';
    ck_assert_ptr_null(aigw_allow_headers(pool, name));
}
END_TEST

Suite *suite_allow_headers(void)
{
    Suite *s = suite_create("allow_headers");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, what_is_known_is_said_back);
    tcase_add_test(c, nothing_else_is);
    tcase_add_test(c, each_once_and_so_many);
    suite_add_tcase(s, c);
    return s;
}
