/* aigw_estimate */
#include "suites.h"
#include "aigw_estimate.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#define E_ACUTE    "\xc3\xa9"
#define TOKENS_MAX APR_INT64_C(1000000000000)

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static aigw_estimate_t of_body(const char *body)
{
    aigw_estimate_t e = {0, 0, 0, 0};
    aigw_json_scan_t scan;
    aigw_chat_t chat;
    aigw_chat_fault_t fault = {NULL, NULL};

    ck_assert_int_eq(aigw_json_scan(&scan, pool, body, strlen(body)), APR_SUCCESS);
    ck_assert_msg(aigw_chat_read(&chat, &scan, pool, &fault) == APR_SUCCESS, "%s", fault.message);
    aigw_estimate_chat(&e, &chat);
    return e;
}

static aigw_estimate_t of_messages(const char *text)
{
    aigw_estimate_t e = {0, 0, 0, 0};
    json_t *messages = json_loads(text, 0, NULL);

    ck_assert_ptr_nonnull(messages);
    aigw_estimate_messages(&e, messages);
    json_decref(messages);
    return e;
}

static void is(aigw_estimate_t e, apr_int64_t ascii, apr_int64_t other, apr_int64_t messages, apr_int64_t images)
{
    ck_assert_int_eq(e.ascii, ascii);
    ck_assert_int_eq(e.other, other);
    ck_assert_int_eq(e.messages, messages);
    ck_assert_int_eq(e.images, images);
}

#define BODY(messages) "{\"messages\":[" messages "]}"

START_TEST(texts)
{
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"hello\"}")), 5, 0, 1, 0);
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"\"}")), 0, 0, 1, 0);
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"h" E_ACUTE "llo\"}")), 4, 2, 1, 0);
    is(of_body(BODY("{\"role\":\"system\",\"content\":\"ab\"},{\"role\":\"user\",\"content\":\"cd\",\"name\":\"e\"}")), 5, 0, 2, 0);
    is(of_body(BODY("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"text\":\"two\",\"type\":\"text\"}]}")), 6, 0,
       1, 0);
}
END_TEST

START_TEST(escapes_are_characters)
{
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"a\\nb\"}")), 3, 0, 1, 0);
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"\\\\\"}")), 1, 0, 1, 0);
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"\\u00e9x\"}")), 1, 3, 1, 0);
    is(of_body(BODY("{\"role\":\"user\",\"content\":\"\\\\u00e9\"}")), 6, 0, 1, 0);
}
END_TEST

/* However large: 20 MB of base64 are one image. */
START_TEST(an_image_is_a_constant)
{
    static const char head[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,";
    const apr_size_t size = 20 * 1024 * 1024;
    char *body = malloc(sizeof head + size + 100);
    aigw_estimate_t e;

    memcpy(body, head, sizeof head - 1);
    memset(body + sizeof head - 1, 'A', size);
    strcpy(body + sizeof head - 1 + size, "\"}},{\"type\":\"text\",\"text\":\"what?\"}]}]}");
    e = of_body(body);
    is(e, 5, 0, 1, 1);
    ck_assert_int_eq(aigw_estimate_tokens(&e, 0, 0), 2 + 4 + 3 + AIGW_ESTIMATE_IMAGE);
    ck_assert_int_eq(aigw_estimate_tokens(&e, 0, 85), 2 + 4 + 3 + 85);
    free(body);
    is(of_body(BODY("{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\"}},{\"type\":\"file\","
                    "\"file\":{}}]}")),
       0, 0, 1, 2);
}
END_TEST

/* What is not known counts as what it is: bytes. */
START_TEST(other_parts_and_tools_are_text)
{
    is(of_body(BODY("{\"role\":\"user\",\"content\":[{\"type\":\"new\",\"x\":\"yyyy\"}]}")), 25, 0, 1, 0);
    is(of_body(BODY("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":1}]},{\"role\":\"tool\",\"content\":\"4\",\"tool_call_id\":\"ab\"}")),
       10 + 3, 0, 2, 0);
    is(of_body("{\"tools\":[{\"a\":1}],\"response_format\":{\"b\":2},\"functions\":null,\"user\":\"xxxxxxxx\",\"messages\":[{\"role\":"
               "\"user\",\"content\":\"c\"}]}"),
       1 + 9 + 7, 0, 1, 0);
    is(of_body(BODY("{\"role\":\"assistant\",\"content\":null}")), 0, 0, 1, 0);
}
END_TEST

START_TEST(messages_as_a_tree)
{
    aigw_estimate_t e = {0, 0, 0, 0};

    is(of_messages("[{\"role\":\"user\",\"content\":\"h" E_ACUTE "llo\"},{\"role\":\"assistant\",\"content\":\"x\"}]"), 5, 2, 2, 0);
    is(of_messages("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
                   "\"data:aaaa\"}}]}]"),
       3, 0, 1, 1);
    is(of_messages("[]"), 0, 0, 0, 0);
    aigw_estimate_messages(&e, NULL);
    is(e, 0, 0, 0, 0);
    ck_assert_int_eq(aigw_estimate_tokens(&e, 0, 0), 1);
}
END_TEST

START_TEST(tokens)
{
    static const struct {
        aigw_estimate_t e;
        double bytes;
        apr_int64_t tokens;
    } rows[] = {{{4, 0, 0, 0}, 0, 1},
                {{5, 0, 0, 0}, 0, 2},
                {{0, 3, 0, 0}, 0, 1},
                {{0, 4, 0, 0}, 0, 2},
                {{4, 3, 0, 0}, 0, 2},
                {{1, 1, 0, 0}, 0, 1},
                {{0, 0, 1, 0}, 0, 7},
                {{0, 0, 2, 0}, 0, 11},
                {{100, 0, 1, 0}, 2, 57},
                {{100, 30, 1, 0}, 1, 147},
                {{APR_INT64_MAX, 0, 1, 0}, 0, TOKENS_MAX},
                {{0, 0, 1, TOKENS_MAX}, 0, TOKENS_MAX}};
    apr_size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(aigw_estimate_tokens(&rows[i].e, rows[i].bytes, 0), rows[i].tokens);
    }
}
END_TEST

START_TEST(the_ratio_is_learned)
{
    apr_uint32_t ratio = 0, before;
    int i;

    ck_assert_int_eq(aigw_estimate_scale(100, 0), 100);
    for (i = 0; i < 40; i++) {
        ratio = aigw_estimate_learn(ratio, 100, 150);
    }
    ck_assert_int_eq(ratio, AIGW_ESTIMATE_ONE * 3 / 2);
    ck_assert_int_eq(aigw_estimate_scale(100, ratio), 150);
    /* up faster than down */
    before = ratio;
    ratio = aigw_estimate_learn(ratio, 100, 200);
    ck_assert_int_eq(ratio - before, 128);
    before = ratio;
    ratio = aigw_estimate_learn(ratio, 100, 100);
    ck_assert_int_eq(before - ratio, 40);
    for (i = 0; i < 400; i++) {
        ratio = aigw_estimate_learn(ratio, 100, 100);
    }
    ck_assert_int_ge(ratio, AIGW_ESTIMATE_ONE);
    ck_assert_int_le(ratio, AIGW_ESTIMATE_ONE + 16);
}
END_TEST

/* "ping", for which a model server counts the forty tokens of its template. */
START_TEST(small_questions_teach_nothing)
{
    apr_uint32_t ratio = AIGW_ESTIMATE_ONE;
    int i;

    ck_assert_int_eq(aigw_estimate_learn(0, 8, 48), 0);
    for (i = 0; i < 1000; i++) {
        ratio = aigw_estimate_learn(ratio, AIGW_ESTIMATE_SAMPLE - 1, 400);
    }
    ck_assert_int_eq(ratio, AIGW_ESTIMATE_ONE);
    ck_assert_int_gt(aigw_estimate_learn(ratio, AIGW_ESTIMATE_SAMPLE, 400), AIGW_ESTIMATE_ONE);
}
END_TEST

START_TEST(the_ratio_is_bounded)
{
    apr_uint32_t high = 0, low = 0;
    int i;

    for (i = 0; i < 400; i++) {
        high = aigw_estimate_learn(high, AIGW_ESTIMATE_SAMPLE, APR_INT64_MAX);
        low = aigw_estimate_learn(low, APR_INT64_MAX, 1);
        ck_assert_int_le(high, AIGW_ESTIMATE_MAX);
        ck_assert_int_ge(low, AIGW_ESTIMATE_MIN);
    }
    ck_assert_int_eq(high, AIGW_ESTIMATE_MAX);
    ck_assert_int_le(low, AIGW_ESTIMATE_MIN + 16);
    ck_assert_int_eq(aigw_estimate_scale(TOKENS_MAX, high), TOKENS_MAX);
    ck_assert_int_eq(aigw_estimate_scale(1, AIGW_ESTIMATE_MIN), 1);
    ck_assert_int_eq(aigw_estimate_scale(3, AIGW_ESTIMATE_MAX / 8), 2);
    ck_assert_int_eq(aigw_estimate_learn(0, 0, 0), 0);
}
END_TEST

Suite *suite_estimate(void)
{
    Suite *suite = suite_create("estimate");
    TCase *tc = tcase_create("estimate");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, texts);
    tcase_add_test(tc, escapes_are_characters);
    tcase_add_test(tc, an_image_is_a_constant);
    tcase_add_test(tc, other_parts_and_tools_are_text);
    tcase_add_test(tc, messages_as_a_tree);
    tcase_add_test(tc, tokens);
    tcase_add_test(tc, the_ratio_is_learned);
    tcase_add_test(tc, small_questions_teach_nothing);
    tcase_add_test(tc, the_ratio_is_bounded);
    suite_add_tcase(suite, tc);
    return suite;
}
