/* aigw_chat_edit */
#include "suites.h"
#include "aigw_chat_edit.h"

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

#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"

/* What an upstream gets of a request, NULL if it cannot be made. */
static const char *edited_as(const char *members, const char *model, int stream)
{
    const char *text = apr_pstrcat(pool, "{" HELLO, members, "}", NULL), *out = "";
    aigw_json_scan_t scan;
    aigw_chat_t chat;
    aigw_chat_fault_t fault;
    struct iovec *pieces;
    int n, i;

    MUST(aigw_json_scan(&scan, pool, text, strlen(text)) == APR_SUCCESS);
    ck_assert_msg(aigw_chat_read(&chat, &scan, pool, &fault) == APR_SUCCESS, "%s: %s", text, fault.message);
    if (!(pieces = aigw_chat_edit(&chat, model, stream, pool, &n))) {
        return NULL;
    }
    for (i = 0; i < n; ++i) {
        out = apr_pstrcat(pool, out, apr_pstrmemdup(pool, pieces[i].iov_base, pieces[i].iov_len), NULL);
    }
    return out;
}

static const char *edited(const char *members, const char *model)
{
    return edited_as(members, model, 0);
}

START_TEST(the_model_is_the_upstreams)
{
    ck_assert_str_eq(edited(",\"model\":\"m\"", "m"), "{" HELLO ",\"model\":\"m\"}");
    ck_assert_str_eq(edited(",\"model\":\"other\"", "m\"\\"), "{" HELLO ",\"model\":\"m\\\"\\\\\"}");
    ck_assert_str_eq(edited("", "m"), "{\"model\":\"m\"," HELLO "}");
    MUST(edited("", "\xff") == NULL);
}
END_TEST

START_TEST(a_streams_usage_is_asked_for)
{
    ck_assert_str_eq(edited(",\"model\":\"m\",\"stream\":false", "m"), "{" HELLO ",\"model\":\"m\",\"stream\":false}");
    ck_assert_str_eq(edited(",\"model\":\"m\",\"stream\":true", "m"),
                     "{\"stream_options\":{\"include_usage\":true}," HELLO ",\"model\":\"m\",\"stream\":true}");
    ck_assert_str_eq(edited(",\"model\":\"m\",\"stream\":true,\"stream_options\":null", "m"),
                     "{" HELLO ",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    ck_assert_str_eq(edited(",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"a\":1}", "m"),
                     "{" HELLO ",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"a\":1}}");
    ck_assert_str_eq(edited(",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}", "m"),
                     "{" HELLO ",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    ck_assert_str_eq(edited(",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":false}", "m"),
                     "{\"model\":\"m\"," HELLO ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":true}}");
}
END_TEST

/* A job's: the client is answered once, and the pieces are counted. */
START_TEST(a_stream_is_asked_for)
{
    ck_assert_str_eq(edited_as(",\"model\":\"m\"", "m", 1),
                     "{\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO ",\"model\":\"m\"}");
    ck_assert_str_eq(edited_as(",\"model\":\"m\",\"stream\":false,\"stream_options\":null", "m", 1),
                     "{" HELLO ",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    ck_assert_str_eq(edited_as(",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":false}", "m", 1),
                     "{" HELLO ",\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}
END_TEST

START_TEST(too_many_edits_are_refused)
{
#define OFF "\"include_usage\":false,"
    MUST(edited(",\"stream\":true,\"stream_options\":{" OFF OFF OFF OFF OFF OFF OFF OFF OFF "\"a\":1}", "m") == NULL);
}
END_TEST

Suite *suite_chat_edit(void)
{
    Suite *s = suite_create("chat_edit");
    TCase *c = tcase_create("chat_edit");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, the_model_is_the_upstreams);
    tcase_add_test(c, a_streams_usage_is_asked_for);
    tcase_add_test(c, a_stream_is_asked_for);
    tcase_add_test(c, too_many_edits_are_refused);
    suite_add_tcase(s, c);
    return s;
}
