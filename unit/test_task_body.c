/* aigw_task_body */
#include "suites.h"
#include "aigw_task_body.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define TTL apr_time_from_sec(7)

static apr_pool_t *pool;
static aigw_task_body_t body;
static aigw_task_fault_t fault;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* From a block that is gone afterwards. */
static int reads(const char *text)
{
    const size_t len = strlen(text);
    char *exact = malloc(len ? len : 1);
    apr_status_t rv;

    memcpy(exact, text, len);
    memset(&fault, 0, sizeof fault);
    memset(&body, 0, sizeof body);
    rv = aigw_task_body_read(&body, exact, len, TTL, pool, &fault);
    memset(exact, 'Z', len);
    free(exact);
    ck_assert(rv == APR_SUCCESS || (rv == APR_EINVAL && fault.code && fault.message));
    return rv == APR_SUCCESS;
}

/* "code param" of what is refused. */
static const char *why(const char *text)
{
    return reads(text) ? "accepted" : apr_pstrcat(pool, fault.code, " ", fault.param ? fault.param : "-", NULL);
}

START_TEST(an_endpoint_and_its_body)
{
    ck_assert(reads("{\"endpoint\":\"/v1/chat\",\"body\": {\"message\" : \"a\\u0062\",\"n\":123456789012345678901.50e0}, "
                    "\"priority\":-100,\"ttl\":60}"));
    ck_assert_str_eq(body.endpoint, "/v1/chat");
    ck_assert_str_eq(body.request, "{\"message\" : \"a\\u0062\",\"n\":123456789012345678901.50e0}"); /* as it was written */
    ck_assert_uint_eq(body.len, strlen(body.request));
    ck_assert_str_eq(body.prefix, "body.");
    ck_assert_int_eq(body.priority, -100);
    ck_assert(body.ttl == apr_time_from_sec(60));
    ck_assert(reads("{\"body\":{},\"endpoint\":\"x\",\"priority\":null,\"ttl\":null}"));
    ck_assert_int_eq(body.priority, 0);
    ck_assert(body.ttl == TTL);
    ck_assert_ptr_null(body.callback_url);
}
END_TEST

START_TEST(who_is_called_back)
{
    ck_assert(reads("{\"body\":{},\"endpoint\":\"x\",\"callback_url\":\"https:\\/\\/a.example/\"}"));
    ck_assert_str_eq(body.callback_url, "https://a.example/");
    ck_assert(reads("{\"prompt\":\"x\",\"callback_url\":\"anything\"}"));
    ck_assert_str_eq(body.callback_url, "anything");
    ck_assert(reads("{\"prompt\":\"x\",\"callback_url\":null}"));
    ck_assert_ptr_null(body.callback_url);
    ck_assert_str_eq(why("{\"prompt\":\"x\",\"callback_url\":7}"), "validation_error callback_url");
    ck_assert_str_eq(why("{\"prompt\":\"x\",\"callback_url\":\"\"}"), "validation_error callback_url");
}
END_TEST

START_TEST(a_prompt_is_a_chat_of_one_message)
{
    ck_assert(reads("{\"prompt\":\"say \\\"\\u00e9\\\"\"}"));
    ck_assert_str_eq(body.endpoint, "/v1/chat/completions");
    ck_assert_str_eq(body.request, "{\"messages\":[{\"role\":\"user\",\"content\":\"say \\\"\\u00e9\\\"\"}]}");
    ck_assert_str_eq(body.prefix, "");
    ck_assert(reads("{\"steps\":1e2,\"model\":\"m\\\"\",\"prompt\":\"x\",\"ttl\":1}"));
    ck_assert_str_eq(body.request, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"model\":\"m\\\"\",\"max_tokens\":100}");
    ck_assert_int_eq(body.steps, 100);
    ck_assert(reads("{\"prompt\":\"x\",\"model\":null,\"steps\":null}"));
    ck_assert_int_eq(body.steps, 0);
    ck_assert_str_eq(body.request, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    ck_assert_str_eq(why(""), "invalid_json -");
    ck_assert_str_eq(why("{"), "invalid_json -");
    ck_assert_str_eq(why("[]"), "validation_error -");
    ck_assert_str_eq(why("{}"), "validation_error endpoint");
    ck_assert_str_eq(why("{\"prompt\":\"a\",\"prompt\":\"b\"}"), "invalid_json -");
    ck_assert_str_eq(why("{\"prompt\":null}"), "validation_error prompt");
    ck_assert_str_eq(why("{\"prompt\":\" \\t\"}"), "validation_error prompt");
    ck_assert_str_eq(why("{\"prompt\":\"x\",\"body\":{}}"), "validation_error body");
    ck_assert_str_eq(why("{\"prompt\":\"x\",\"model\":1}"), "validation_error model");
    ck_assert_str_eq(why("{\"prompt\":\"x\",\"steps\":0}"), "validation_error steps");
    ck_assert_str_eq(why("{\"prompt\":\"x\",\"steps\":1.5}"), "validation_error steps");
    ck_assert_str_eq(why("{\"endpoint\":\"/v1/chat\"}"), "validation_error body");
    ck_assert_str_eq(why("{\"endpoint\":\"/v1/chat\",\"body\":[]}"), "validation_error body");
    ck_assert_str_eq(why("{\"endpoint\":\"/v1/chat\",\"body\":{\"a\":1,\"a\":2}}"), "validation_error body");
    ck_assert_str_eq(why("{\"endpoint\":\"\",\"body\":{}}"), "validation_error endpoint");
    ck_assert_str_eq(why("{\"endpoint\":\"a\\u0000b\",\"body\":{}}"), "validation_error endpoint");
    ck_assert_str_eq(why("{\"endpoint\":\"x\",\"body\":{},\"priority\":101}"), "validation_error priority");
    ck_assert_str_eq(why("{\"endpoint\":\"x\",\"body\":{},\"ttl\":0}"), "validation_error ttl");
    ck_assert_str_eq(why("{\"endpoint\":\"x\",\"body\":{},\"ttl\":31622401}"), "validation_error ttl");
    ck_assert_str_eq(why("{\"endpoint\":\"x\",\"body\":{},\"owner\":\"bob\"}"), "validation_error owner");
}
END_TEST

/* A tree of it would be as deep as the stack is long. */
START_TEST(depth_is_bounded)
{
    char *deep = apr_pcalloc(pool, 20100);

    strcpy(deep, "{\"endpoint\":\"x\",\"body\":{\"a\":");
    memset(deep + strlen(deep), '[', 10000);
    memset(deep + strlen(deep), ']', 10000);
    strcat(deep, "}}");
    ck_assert_str_eq(why(deep), "invalid_json -");
    ck_assert_ptr_nonnull(strstr(fault.message, "too deeply"));
}
END_TEST

Suite *suite_task_body(void)
{
    Suite *s = suite_create("task_body");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_endpoint_and_its_body);
    tcase_add_test(c, who_is_called_back);
    tcase_add_test(c, a_prompt_is_a_chat_of_one_message);
    tcase_add_test(c, what_is_wrong_is_named);
    tcase_add_test(c, depth_is_bounded);
    suite_add_tcase(s, c);
    return s;
}
