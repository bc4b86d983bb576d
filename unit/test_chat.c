/* aigw_chat */
#include "suites.h"
#include "aigw_chat.h"

#include <apr_strings.h>
#include <math.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_json_scan_t scan;
static aigw_chat_t chat;
static aigw_chat_fault_t fault;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static apr_status_t read_text(const char *text)
{
    apr_status_t rv = aigw_json_scan(&scan, pool, text, strlen(text));

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", text, scan.why);
    return aigw_chat_read(&chat, &scan, pool, &fault);
}

static void accepted(const char *text)
{
    apr_status_t rv = read_text(text);

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", text, fault.message);
    ck_assert_ptr_null(fault.message);
    ck_assert_ptr_null(fault.param);
}

static void refused(const char *text, const char *param, const char *what)
{
    apr_status_t rv = read_text(text);

    ck_assert_msg(rv == APR_EINVAL, "%s was accepted", text);
    ck_assert_str_eq(fault.param, param);
    ck_assert_str_eq(fault.message, apr_pstrcat(pool, param, " ", what, NULL));
}

#define HELLO            "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define MESSAGE(members) "{\"messages\":[{" members "}]}"
#define WITH(member)     "{" HELLO "," member "}"

START_TEST(a_small_request_has_defaults)
{
    accepted("{\"model\":\"gpt\"," HELLO "}");
    ck_assert_ptr_eq(chat.scan, &scan);
    ck_assert_str_eq(chat.model, "gpt");
    ck_assert_ptr_eq(chat.model_member, &scan.members[0]);
    ck_assert_int_eq(chat.nmessages, 1);
    ck_assert_int_eq(chat.last_user, 0);
    ck_assert_int_eq(scan.text[chat.messages.start], '[');
    ck_assert_int_eq(chat.stream, 0);
    ck_assert_int_eq(chat.include_usage, 0);
    ck_assert_ptr_null(chat.stream_options);
    ck_assert_int_eq(chat.max_tokens, -1);
    ck_assert(isnan(chat.temperature));
    ck_assert_int_eq(chat.n, 1);
}
END_TEST

START_TEST(a_full_request_is_read)
{
    accepted(
        "{\"model\":\"a\\u00e9/"
        "b:c\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:,\"}},{\"type\":\"input_audio\",\"input_audio\":1}]},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]},{\"role\":\"tool\",\"content\":\"r\",\"tool_call_id\":\"1\"}],"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":1},\"max_tokens\":10,\"max_completion_tokens\":20,"
        "\"temperature\":0.5,\"top_p\":1,"
        "\"presence_penalty\":-2,\"frequency_penalty\":2.0,\"n\":128,\"tools\":[{}],\"stop\":[\"a\",\"b\"],\"user\":\"u\",\"response_"
        "format\":{},\"new\":[null]}");
    ck_assert_str_eq(chat.model, "a\xc3\xa9/b:c");
    ck_assert_int_eq(chat.nmessages, 4);
    ck_assert_int_eq(chat.last_user, 1);
    ck_assert_int_eq(chat.stream, 1);
    ck_assert_int_eq(chat.include_usage, 1);
    ck_assert_ptr_eq(chat.stream_options, aigw_json_member(&scan, "stream_options"));
    ck_assert_int_eq(chat.max_tokens, 20);
    ck_assert(chat.temperature == 0.5);
    ck_assert_int_eq(chat.n, 128);
}
END_TEST

START_TEST(null_is_absent)
{
    accepted(
        "{" HELLO
        ",\"stream\":null,\"stream_options\":null,\"max_tokens\":null,\"max_completion_tokens\":null,\"temperature\":null,\"top_p\":null,"
        "\"presence_penalty\":null,\"frequency_penalty\":null,\"n\":null,\"tools\":null,\"stop\":null,\"user\":null,\"response_format\":"
        "null}");
    ck_assert_ptr_null(chat.model);
    ck_assert_ptr_null(chat.model_member);
    ck_assert_int_eq(chat.stream, 0);
    ck_assert_ptr_null(chat.stream_options);
    ck_assert_int_eq(chat.max_tokens, -1);
    ck_assert(isnan(chat.temperature));
    ck_assert_int_eq(chat.n, 1);
    accepted(WITH("\"stream\":true,\"stream_options\":{\"include_usage\":null}"));
    ck_assert_int_eq(chat.include_usage, 0);
    ck_assert_ptr_nonnull(chat.stream_options);
    accepted(MESSAGE("\"role\":\"assistant\",\"content\":null,\"tool_calls\":null"));
    ck_assert_int_eq(chat.last_user, -1);
}
END_TEST

START_TEST(limits_of_tokens_are_read)
{
    accepted(WITH("\"max_tokens\":7"));
    ck_assert_int_eq(chat.max_tokens, 7);
    accepted(WITH("\"max_completion_tokens\":1e3"));
    ck_assert_int_eq(chat.max_tokens, 1000);
    accepted(WITH("\"max_completion_tokens\":5,\"max_tokens\":9"));
    ck_assert_int_eq(chat.max_tokens, 5);
    ck_assert_int_eq(chat.longest, 9);
    accepted(WITH("\"max_completion_tokens\":9,\"max_tokens\":5"));
    ck_assert_int_eq(chat.longest, 9);
    accepted(WITH("\"max_completion_tokens\":null,\"max_tokens\":9"));
    ck_assert_int_eq(chat.max_tokens, 9);
    refused(WITH("\"max_tokens\":0"), "max_tokens", "must be an integer of at least 1");
    refused(WITH("\"max_tokens\":-1"), "max_tokens", "must be an integer of at least 1");
    refused(WITH("\"max_tokens\":1.5"), "max_tokens", "must be an integer of at least 1");
    refused(WITH("\"max_tokens\":\"5\""), "max_tokens", "must be an integer of at least 1");
    refused(WITH("\"max_tokens\":1e30"), "max_tokens", "must be an integer of at least 1");
    refused(WITH("\"max_completion_tokens\":true"), "max_completion_tokens", "must be an integer of at least 1");
}
END_TEST

START_TEST(the_root_is_an_object)
{
    ck_assert_int_eq(read_text("[]"), APR_EINVAL);
    ck_assert_ptr_null(fault.param);
    ck_assert_str_eq(fault.message, "The request body must be a JSON object");
    ck_assert_int_eq(read_text("null"), APR_EINVAL);
    ck_assert_ptr_null(fault.param);
}
END_TEST

START_TEST(a_model_is_a_short_clean_string)
{
    char name[258];

    memset(name, 'm', sizeof(name));
    name[256] = '\0';
    accepted(apr_pstrcat(pool, "{\"model\":\"", name, "\"," HELLO "}", NULL));
    ck_assert_str_eq(chat.model, name);
    refused(apr_pstrcat(pool, "{\"model\":\"x", name, "\"," HELLO "}", NULL), "model", "must have 1 to 256 bytes");
    refused("{\"model\":\"\"," HELLO "}", "model", "must have 1 to 256 bytes");
    refused("{\"model\":null," HELLO "}", "model", "must be a string");
    refused("{\"model\":5," HELLO "}", "model", "must be a string");
    refused("{\"model\":\"a\\nb\"," HELLO "}", "model", "must not contain control characters");
    refused("{\"model\":\"a\\u0000b\"," HELLO "}", "model", "must not contain control characters");
    refused("{\"model\":\"a\x7f\"," HELLO "}", "model", "must not contain control characters");
}
END_TEST

START_TEST(messages_are_a_list_of_objects)
{
    refused("{}", "messages", "is required");
    refused("{\"messages\":null}", "messages", "must be an array");
    refused("{\"messages\":\"hi\"}", "messages", "must be an array");
    refused("{\"messages\":[]}", "messages", "must not be empty");
    refused("{\"messages\":[ ]}", "messages", "must not be empty");
    refused("{\"messages\":[1]}", "messages[0]", "must be an object");
    refused("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},null]}", "messages[1]", "must be an object");
}
END_TEST

START_TEST(roles_are_known)
{
    static const char *const good[] = {"system", "developer", "user", "assistant", "tool", "function"};
    static const char *const bad[] = {"\"\"", "\"User\"", "\"users\"", "\"use\"", "5", "null", "[\"user\"]"};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(*good); ++i) {
        accepted(apr_pstrcat(pool, "{\"messages\":[{\"content\":\"x\",\"role\":\"", good[i], "\"}]}", NULL));
    }
    for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
        refused(apr_pstrcat(pool, "{\"messages\":[{\"content\":\"x\",\"role\":", bad[i], "}]}", NULL), "messages[0].role",
                "must be one of system, developer, user, assistant, tool and function");
    }
    refused("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"content\":\"x\"}]}", "messages[1].role", "is required");
    accepted(MESSAGE("\"role\":\"us\\u0065r\",\"content\":\"x\""));
    ck_assert_int_eq(chat.last_user, 0);
}
END_TEST

START_TEST(content_is_text_or_parts)
{
    accepted(MESSAGE("\"role\":\"user\",\"content\":\"\""));
    accepted(MESSAGE("\"role\":\"user\",\"content\":[]"));
    accepted(MESSAGE("\"role\":\"assistant\""));
    refused(MESSAGE("\"role\":\"user\""), "messages[0].content", "is required for this role");
    refused(MESSAGE("\"role\":\"tool\",\"content\":null"), "messages[0].content", "is required for this role");
    refused(MESSAGE("\"role\":\"user\",\"content\":5"), "messages[0].content", "must be a string or an array");
    refused(MESSAGE("\"role\":\"assistant\",\"content\":{}"), "messages[0].content", "must be a string or an array");
    refused(MESSAGE("\"role\":\"assistant\",\"tool_calls\":{}"), "messages[0].tool_calls", "must be an array");
}
END_TEST

#define PARTS(parts) MESSAGE("\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\"}," parts "]")

START_TEST(parts_are_checked)
{
    refused(PARTS("\"x\""), "messages[0].content[1]", "must be an object");
    refused(PARTS("{}"), "messages[0].content[1].type", "must be a string");
    refused(PARTS("{\"type\":null}"), "messages[0].content[1].type", "must be a string");
    refused(PARTS("{\"type\":1}"), "messages[0].content[1].type", "must be a string");
    refused(PARTS("{\"type\":\"text\"}"), "messages[0].content[1].text", "must be a string");
    refused(PARTS("{\"type\":\"text\",\"text\":null}"), "messages[0].content[1].text", "must be a string");
    refused(PARTS("{\"text\":[],\"type\":\"text\"}"), "messages[0].content[1].text", "must be a string");
    refused(PARTS("{\"type\":\"image_url\"}"), "messages[0].content[1].image_url", "must be an object");
    refused(PARTS("{\"type\":\"image_url\",\"image_url\":\"u\"}"), "messages[0].content[1].image_url", "must be an object");
    refused(PARTS("{\"type\":\"image_url\",\"image_url\":{}}"), "messages[0].content[1].image_url.url", "must be a string");
    refused(PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":1}}"), "messages[0].content[1].image_url.url", "must be a string");
    refused(PARTS("{\"type\":\"file\"},{\"type\":\"t\\u0065xt\",\"text\":5}"), "messages[0].content[2].text", "must be a string");
    accepted(PARTS("{\"type\":\"refusal\",\"text\":5}"));
}
END_TEST

START_TEST(the_last_of_two_nested_members_counts)
{
    accepted(MESSAGE("\"role\":\"x\",\"role\":\"user\",\"content\":5,\"content\":\"x\""));
    refused(MESSAGE("\"role\":\"user\",\"role\":\"x\",\"content\":\"x\""), "messages[0].role",
            "must be one of system, developer, user, assistant, tool and function");
    accepted(WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":false}"));
    ck_assert_int_eq(chat.include_usage, 0);
}
END_TEST

START_TEST(stream_options_belong_to_a_stream)
{
    refused(WITH("\"stream\":\"true\""), "stream", "must be a boolean");
    refused(WITH("\"stream\":1"), "stream", "must be a boolean");
    refused(WITH("\"stream_options\":{}"), "stream_options", "is only allowed when stream is true");
    refused(WITH("\"stream\":false,\"stream_options\":{}"), "stream_options", "is only allowed when stream is true");
    refused(WITH("\"stream\":true,\"stream_options\":[]"), "stream_options", "must be an object");
    refused(WITH("\"stream\":true,\"stream_options\":{\"include_usage\":1}"), "stream_options.include_usage", "must be a boolean");
    accepted(WITH("\"stream\":false,\"stream_options\":null"));
}
END_TEST

START_TEST(numbers_have_a_range)
{
    static const struct {
        const char *name, *what;
        const char *good[2], *bad[4];
    } numbers[] = {
        {"temperature", "must be a number from 0 to 2", {"0", "2"}, {"-0.1", "2.00000001", "\"1\"", "1e999"}},
        {"top_p", "must be a number from 0 to 1", {"0.0", "1.0"}, {"-1", "1.1", "true", "[]"}},
        {"presence_penalty", "must be a number from -2 to 2", {"-2", "2"}, {"-2.1", "2.1", "{}", "\"\""}},
        {"frequency_penalty", "must be a number from -2 to 2", {"-2.0", "0.5e0"}, {"-3", "3", "false", "-1e999"}},
        {"n", "must be an integer from 1 to 128", {"1", "1.28e2"}, {"0", "129", "1.5", "\"1\""}},
    };
    size_t i, k;

    for (i = 0; i < sizeof(numbers) / sizeof(*numbers); ++i) {
        for (k = 0; k < 2; ++k) {
            accepted(apr_psprintf(pool, "{" HELLO ",\"%s\":%s}", numbers[i].name, numbers[i].good[k]));
        }
        for (k = 0; k < 4; ++k) {
            refused(apr_psprintf(pool, "{" HELLO ",\"%s\":%s}", numbers[i].name, numbers[i].bad[k]), numbers[i].name, numbers[i].what);
        }
    }
}
END_TEST

START_TEST(the_rest_has_its_kind)
{
    refused(WITH("\"tools\":{}"), "tools", "must be an array");
    refused(WITH("\"tools\":[{},1]"), "tools[1]", "must be an object");
    refused(WITH("\"stop\":5"), "stop", "must be a string or an array of strings");
    refused(WITH("\"stop\":[\"a\",null]"), "stop[1]", "must be a string");
    refused(WITH("\"user\":5"), "user", "must be a string");
    refused(WITH("\"response_format\":\"json\""), "response_format", "must be an object");
    accepted(WITH("\"stop\":\"a\",\"tools\":[]"));
}
END_TEST

/* ---- texts ---- */

typedef struct said_t {
    char *text;
    int calls;
} said_t;

static void hear(void *baton, const char *role, int last_user, const char *text, apr_size_t len)
{
    said_t *said = baton;

    ++said->calls;
    said->text = apr_psprintf(pool, "%s%s%s:%s|", said->text, role, last_user ? "!" : "", apr_pstrmemdup(pool, text, len));
}

static const char *texts_of(const char *request)
{
    said_t said = {apr_pstrdup(pool, ""), 0};

    accepted(request);
    aigw_chat_each_text(&chat, pool, hear, &said);
    return said.text;
}

START_TEST(each_text_is_given_in_order)
{
    ck_assert_str_eq(texts_of("{\"messages\":[{\"role\":\"system\",\"content\":\"be\\nkind\"},{\"role\":\"user\",\"content\":\"first\"},"
                              "{\"role\":\"assistant\",\"content\":null},{\"content\":[{\"type\":\"text\",\"text\":\"a\\u00e9\"},"
                              "{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}},{\"text\":\"b\",\"type\":\"text\"},{\"type\":"
                              "\"other\",\"text\":\"no\"}],"
                              "\"role\":\"user\"},{\"role\":\"tool\",\"content\":\"\"},{\"role\":\"assistant\"}]}"),
                     "system:be\nkind|user:first|user!:a\xc3\xa9|user!:b|tool:|");
    ck_assert_str_eq(texts_of("{\"messages\":[{\"role\":\"developer\",\"content\":\"x\"},{\"role\":\"function\",\"content\":[]}]}"),
                     "developer:x|");
}
END_TEST

/* What a parser that does not look at case would take for another member. */
START_TEST(names_that_differ_only_in_case_are_refused)
{
    refused(WITH("\"Model\":\"b\""), "model", "must be written in lower case");
    refused(WITH("\"MODEL\":\"b\""), "model", "must be written in lower case");
    refused(WITH("\"\xc5\xbftream\":true"), "stream", "must be written in lower case");
    refused(WITH("\"max_to\xe2\x84\xaa"
                 "ens\":5"),
            "max_tokens", "must be written in lower case");
    refused(WITH("\"N\":2"), "n", "must be written in lower case");
    refused(WITH("\"max_Completion_Tokens\":2"), "max_completion_tokens", "must be written in lower case");
    accepted(WITH("\"Temperature_\":2,\"models\":1,\"mode\":2,\"Modell\":3,\"\":4"));
}
END_TEST

Suite *suite_chat(void)
{
    Suite *s = suite_create("chat");
    TCase *c = tcase_create("chat");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_small_request_has_defaults);
    tcase_add_test(c, a_full_request_is_read);
    tcase_add_test(c, null_is_absent);
    tcase_add_test(c, limits_of_tokens_are_read);
    tcase_add_test(c, the_root_is_an_object);
    tcase_add_test(c, a_model_is_a_short_clean_string);
    tcase_add_test(c, messages_are_a_list_of_objects);
    tcase_add_test(c, roles_are_known);
    tcase_add_test(c, content_is_text_or_parts);
    tcase_add_test(c, parts_are_checked);
    tcase_add_test(c, the_last_of_two_nested_members_counts);
    tcase_add_test(c, stream_options_belong_to_a_stream);
    tcase_add_test(c, numbers_have_a_range);
    tcase_add_test(c, the_rest_has_its_kind);
    tcase_add_test(c, names_that_differ_only_in_case_are_refused);
    tcase_add_test(c, each_text_is_given_in_order);
    suite_add_tcase(s, c);
    return s;
}
