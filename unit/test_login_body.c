/* aigw_login_body */
#include "suites.h"
#include "aigw_login_body.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_login_body_t body;
static aigw_login_fault_t fault;
static char *room;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    room = NULL;
}

static void teardown(void)
{
    free(room);
    apr_pool_destroy(pool);
}

/* From and into blocks of exactly the sizes that are promised. */
static int reads_bytes(int form, const char *text, apr_size_t len)
{
    char *exact = malloc(len + 1);
    apr_status_t rv;

    free(room);
    room = malloc(len + 1);
    memcpy(exact, text, len);
    exact[len] = '\0';
    memset(&fault, 0, sizeof fault);
    memset(&body, 0, sizeof body);
    rv = (form ? aigw_login_body_form : aigw_login_body_json)(&body, exact, len, room, pool, &fault);
    memset(exact, 'Z', len);
    free(exact);
    ck_assert(rv == APR_SUCCESS || (rv == APR_EINVAL && fault.code && fault.message));
    return rv == APR_SUCCESS;
}

static int json(const char *text)
{
    return reads_bytes(0, text, strlen(text));
}

static int form(const char *text)
{
    return reads_bytes(1, text, strlen(text));
}

static int is(const char *username, const char *password, const char *scope)
{
    return !strcmp(body.username, username) && !strcmp(body.password, password) &&
           (scope ? body.scope && !strcmp(body.scope, scope) : !body.scope);
}

/* "code param" of what is refused. */
static const char *why(int accepted)
{
    return accepted ? "accepted" : apr_pstrcat(pool, fault.code, " ", fault.param ? fault.param : "-", NULL);
}

START_TEST(json_is_read)
{
    ck_assert(json("{\"username\":\"alice\",\"password\":\"secret\"}"));
    ck_assert(is("alice", "secret", NULL));
    ck_assert(json(
        " {\"password\" : \"a\\u00e9\\n\\\"\\ud83d\\ude00\", \"scope\":\"a b\", \"username\":\"\xc3\xa4\", \"grant_type\":\"password\"} "));
    ck_assert(is("\xc3\xa4", "a\xc3\xa9\n\"\xf0\x9f\x98\x80", "a b"));
    ck_assert(json(
        "{\"\\u0075sername\":\"a\",\"password\":\"b\",\"scope\":null,\"grant_type\":null,\"client_id\":\"x\",\"client_secret\":\"y\"}"));
    ck_assert(is("a", "b", NULL));
}
END_TEST

START_TEST(forms_are_read)
{
    ck_assert(form("username=alice&password=secret"));
    ck_assert(is("alice", "secret", NULL));
    ck_assert(form("&&password=a%20b+c%26%3D%25%2b%C3%A9&user%6eame=a+b&scope=chat+read&grant_type=password&client_id=&"));
    ck_assert(is("a b", "a b c&=%+\xc3\xa9", "chat read"));
    ck_assert(form("username=a&password=a=b"));
    ck_assert(is("a", "a=b", NULL));
    ck_assert(form("username=a&password=\xff"));
}
END_TEST

START_TEST(what_is_missing_or_wrong_is_named)
{
    ck_assert_str_eq(why(json("{}")), "validation_error username");
    ck_assert_str_eq(why(json("{\"username\":\"a\"}")), "validation_error password");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"password\":\"\"}")), "validation_error password");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"password\":1}")), "validation_error password");
    ck_assert_str_eq(why(json("{\"username\":null,\"password\":\"b\"}")), "validation_error username");
    ck_assert_str_eq(why(json("{\"username\":\"a\\u0000b\",\"password\":\"b\"}")), "validation_error username");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"password\":\"b\\u0000c\"}")), "validation_error password");
    ck_assert_str_eq(why(json("{\"username\":\"a:b\",\"password\":\"b\"}")), "validation_error username");
    ck_assert_str_eq(why(json("{\"username\":\"a\\u0085\",\"password\":\"b\"}")), "validation_error username");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"password\":\"b\",\"grant_type\":\"x\"}")), "validation_error grant_type");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"password\":\"b\",\"scope\":[\"x\"]}")), "validation_error scope");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"password\":\"b\",\"x\\u001b\":1}")),
                     apr_pstrcat(pool, "validation_error ", fault.param, NULL));
    ck_assert_ptr_null(strchr(fault.param, '\x1b'));
    ck_assert_str_eq(why(json("[]")), "validation_error -");
    ck_assert_str_eq(why(json("")), "invalid_json -");
    ck_assert_str_eq(why(json("{\"username\":\"a\",\"username\":\"b\",\"password\":\"c\"}")), "invalid_json -");
    ck_assert_str_eq(why(form("")), "bad_request -");
    ck_assert_str_eq(why(form("username")), "validation_error username");
    ck_assert_str_eq(why(form("username=a&username=b&password=c")), "validation_error username");
    ck_assert_str_eq(why(form("username=a&password=%4")), "bad_request password");
    ck_assert_str_eq(why(form("username=a&password=%&scope=41")), "bad_request password");
    ck_assert_str_eq(why(form("username=a&password=x%00y")), "bad_request password");
    ck_assert_str_eq(why(form("%zz=1&username=a&password=b")), "bad_request -");
    ck_assert_str_eq(why(form("username=a&password=b&admin=1")), "validation_error admin");
    ck_assert_str_eq(why(form("username=%ff&password=b")), "validation_error username");
    ck_assert_str_eq(why(reads_bytes(1, "username=a&password=b\0c", 23)), "bad_request -");
}
END_TEST

START_TEST(lengths)
{
    char *name = apr_pcalloc(pool, 300), *password = apr_pcalloc(pool, 1100);

    memset(name, 'n', 256);
    memset(password, 'p', AIGW_LOGIN_PASSWORD_MAX);
    ck_assert(form(apr_psprintf(pool, "username=%s&password=%s", name, password)));
    ck_assert(json(apr_psprintf(pool, "{\"username\":\"%s\",\"password\":\"%s\"}", name, password)));
    ck_assert(is(name, password, NULL));
    ck_assert_str_eq(why(form(apr_psprintf(pool, "username=%sn&password=x", name))), "validation_error username");
    ck_assert_str_eq(why(form(apr_psprintf(pool, "username=x&password=%sp", password))), "validation_error password");
}
END_TEST

START_TEST(a_refusal_repeats_no_password)
{
    ck_assert(!json("{\"username\":\"\",\"password\":\"hunter2\"}"));
    ck_assert_ptr_null(strstr(fault.message, "hunter2"));
    ck_assert(!form("username=a&password=hunter2%"));
    ck_assert_ptr_null(strstr(fault.message, "hunter2"));
    ck_assert(!json("{\"password\":\"hunter2\", }"));
    ck_assert_ptr_null(strstr(fault.message, "hunter2"));
}
END_TEST

Suite *suite_login_body(void)
{
    Suite *s = suite_create("login_body");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, json_is_read);
    tcase_add_test(c, forms_are_read);
    tcase_add_test(c, what_is_missing_or_wrong_is_named);
    tcase_add_test(c, lengths);
    tcase_add_test(c, a_refusal_repeats_no_password);
    suite_add_tcase(s, c);
    return s;
}
