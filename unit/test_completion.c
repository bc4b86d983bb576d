/* aigw_completion */
#include "suites.h"
#include "aigw_completion.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_json_scan_t scan;
static aigw_completion_t answer;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static void accepted(const char *text)
{
    ck_assert_msg(aigw_json_check(&scan, text, strlen(text)) == APR_SUCCESS, "%s: %s", text, scan.why);
    ck_assert_int_eq(aigw_completion_read(&answer, &scan), APR_SUCCESS);
}

static const char *quoted(const char *s)
{
    return s ? apr_psprintf(pool, "'%s'", s) : "-";
}

/* What is told, in words. */
static void hear(void *baton, const aigw_completion_piece_t *piece)
{
    const char **said = baton, *data = quoted(piece->data ? apr_pstrmemdup(pool, piece->data, piece->len) : NULL), *what = NULL;

    switch (piece->kind) {
    case AIGW_COMPLETION_TEXT:
        what = apr_psprintf(pool, "%d:%s", piece->choice, data);
        break;
    case AIGW_COMPLETION_TOOL:
        what = apr_psprintf(pool, "%d:tool%d(%s,%s,%s)", piece->choice, piece->tool_index, quoted(piece->tool_id), quoted(piece->tool_name),
                            data);
        break;
    case AIGW_COMPLETION_FINISH:
        what = apr_psprintf(pool, "%d=%s", piece->choice, piece->finish_reason);
        break;
    }
    *said = apr_pstrcat(pool, *said, *said[0] ? " " : "", what, NULL);
}

static const char *told(const char *text, const char *part)
{
    const char *said = "";

    accepted(text);
    ck_assert_int_eq(aigw_completion_each(&answer, part, hear, &said), APR_SUCCESS);
    return said;
}

static const char *whole(const char *choices)
{
    return told(apr_pstrcat(pool, "{\"id\":\"c\",\"choices\":[", choices, "]}", NULL), "message");
}

START_TEST(a_whole_answer_is_told_in_order)
{
    ck_assert_str_eq(whole("{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"}}"),
                     "0:'hi' 0=stop");
    ck_assert_str_eq(whole("{\"message\":{\"content\":\"a\"}},{\"message\":{\"content\":\"b\"}}"), "0:'a' 1:'b'");
    ck_assert_str_eq(whole("{\"index\":1,\"message\":{\"content\":\"a\"}},{\"index\":0,\"finish_reason\":\"length\"}"), "1:'a' 0=length");
    ck_assert_str_eq(told("{\"choices\":[{\"delta\":{\"content\":\"x\"},\"message\":{\"content\":\"y\"}}]}", "delta"), "0:'x'");
    ck_assert_str_eq(whole(""), "");
}
END_TEST

START_TEST(tool_calls_are_told_one_by_one)
{
    ck_assert_str_eq(
        whole("{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
              "\"arguments\":\"{\\\"a\\\":1}\"}},{\"index\":7,\"function\":{\"arguments\":\"\"}},{},5]},\"finish_reason\":\"tool_calls\"}"),
        "0:tool0('c1','f','{\"a\":1}') 0:tool7(-,-,'') 0:tool2(-,-,-) 0:tool3(-,-,-) 0=tool_calls");
}
END_TEST

START_TEST(strings_are_unescaped)
{
    ck_assert_str_eq(whole("{\"message\":{\"content\":\"\\u00e4\\n\\ud83d\\ude00 \\\"\",\"tool_calls\":[{\"id\":\"\\t\",\"function\":"
                           "{\"name\":\"\\u0066\",\"arguments\":\"\\\\\"}}]},\"finish_reason\":\"\\u0073top\"}"),
                     "0:'\xc3\xa4\n\xf0\x9f\x98\x80 \"' 0:tool0('\t','f','\\') 0=stop");
    ck_assert_str_eq(whole("{\"m\\u0065ssage\":{\"c\\u006fntent\":\"a\"}}"), "0:'a'");
}
END_TEST

START_TEST(a_wrong_type_is_as_good_as_absent)
{
    ck_assert_str_eq(
        whole("{\"index\":\"1\",\"message\":{\"content\":{\"content\":\"no\"},\"tool_calls\":{\"a\":{}}},\"finish_reason\":1}"), "");
    ck_assert_str_eq(whole("null,[],\"message\",{\"message\":[\"content\",\"no\"]},{\"message\":{\"content\":\"e\"}}"), "4:'e'");
    ck_assert_str_eq(whole("{\"message\":{\"content\":\"\"},\"finish_reason\":\"\"}"), "0=");
    ck_assert_str_eq(whole("{\"message\":{\"tool_calls\":[{\"id\":1,\"function\":[\"name\",\"no\"]}]}}"), "0:tool0(-,-,-)");
    ck_assert_str_eq(told("{\"choices\":{\"0\":{\"message\":{\"content\":\"no\"}}}}", "message"), "");
}
END_TEST

START_TEST(an_index_that_cannot_be_is_nobodys)
{
    ck_assert_str_eq(whole("{\"index\":-1,\"message\":{\"content\":\"a\"}}"), "-1:'a'");
    ck_assert_str_eq(whole("{\"index\":4294967296,\"message\":{\"content\":\"a\"}}"), "-1:'a'");
    ck_assert_str_eq(whole("{\"index\":99999999999999999999,\"message\":{\"content\":\"a\"}}"), "-1:'a'");
    ck_assert_str_eq(whole("{\"index\":1.0,\"message\":{\"content\":\"a\"}}"), "0:'a'");
    ck_assert_str_eq(whole("{\"index\":2147483647,\"message\":{\"content\":\"a\"}}"), "2147483647:'a'");
}
END_TEST

START_TEST(the_last_of_two_members_counts)
{
    ck_assert_str_eq(
        told("{\"choices\":[{\"message\":{\"content\":\"no\"}}],\"choices\":[{\"message\":{\"content\":\"a\",\"content\":\"b\"},"
             "\"finish_reason\":\"x\",\"finish_reason\":\"y\"}]}",
             "message"),
        "0:'b' 0=y");
    ck_assert_str_eq(whole("{\"message\":{\"content\":\"a\"},\"message\":null}"), "");
}
END_TEST

START_TEST(choices_are_there_or_not)
{
    accepted("{\"choices\": [ ] }");
    MUST(answer.choices.end && !aigw_completion_has_choices(&answer));
    accepted("{\"choices\":[\n0]}");
    MUST(aigw_completion_has_choices(&answer));
    accepted("{\"choices\":{\"a\":1}}");
    MUST(!aigw_completion_has_choices(&answer));
    accepted("{\"choices\":null}");
    MUST(answer.choices.end && !aigw_completion_has_choices(&answer));
    accepted("{\"choice\":[1]}");
    MUST(!answer.choices.end && !aigw_completion_has_choices(&answer));
    MUST(aigw_json_check(&scan, "[{}]", 4) == APR_SUCCESS && aigw_completion_read(&answer, &scan) == APR_EINVAL);
}
END_TEST

START_TEST(errors_are_objects_or_strings)
{
    accepted("{\"error\":{\"message\":\"no\"}}");
    MUST(aigw_completion_is_error(&answer));
    accepted("{\"error\":\"no\"}");
    MUST(aigw_completion_is_error(&answer));
    accepted("{\"error\":null}");
    MUST(!aigw_completion_is_error(&answer));
    accepted("{\"error\":{},\"error\":0}");
    MUST(!aigw_completion_is_error(&answer));
    accepted("{}");
    MUST(!aigw_completion_is_error(&answer));
}
END_TEST

static const char *failure(const char *text)
{
    aigw_completion_error_t said;

    ck_assert_msg(aigw_json_check(&scan, text, strlen(text)) == APR_SUCCESS, "%s: %s", text, scan.why);
    aigw_completion_failure(&scan, pool, &said);
    return apr_pstrcat(pool, quoted(said.message), quoted(said.code), quoted(said.param), NULL);
}

START_TEST(servers_fail_in_many_words)
{
    aigw_completion_error_t said;

    ck_assert_str_eq(failure("{\"error\":{\"message\":\"m\\u00e4\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}}"), "'m\xc3\xa4''c''p'");
    ck_assert_str_eq(failure("{\"error\":\"m\",\"detail\":\"no\"}"), "'m'--");
    ck_assert_str_eq(failure("{\"error\":true,\"detail\":\"m\"}"), "'m'--");
    ck_assert_str_eq(failure("{\"detail\":{\"message\":\"m\",\"code\":5}}"), "'m'--");
    ck_assert_str_eq(failure("{\"detail\":[{\"message\":\"no\"}],\"message\":\"m\"}"), "'m'--");
    ck_assert_str_eq(failure("{\"message\":{}}"), "---");
    ck_assert_str_eq(failure("[\"message\",\"no\"]"), "---");
    ck_assert_str_eq(failure("\"no\""), "---");
    accepted("{\"error\":{\"message\":\"m\",\"message\":\"n\"},\"message\":\"no\"}");
    aigw_completion_error(&answer, pool, &said);
    ck_assert_str_eq(said.message, "n");
}
END_TEST

START_TEST(an_error_of_a_megabyte_says_nothing)
{
    char *text = apr_palloc(pool, 70000);

    memset(text, 'x', 69999);
    memcpy(text, "{\"error\":\"", 10);
    strcpy(text + 10 + AIGW_COMPLETION_ERROR_MAX, "\"}");
    ck_assert_int_eq(strlen(failure(text)), AIGW_COMPLETION_ERROR_MAX + 4);
    text[10 + AIGW_COMPLETION_ERROR_MAX] = 'x';
    strcpy(text + 11 + AIGW_COMPLETION_ERROR_MAX, "\"}");
    ck_assert_str_eq(failure(text), "---");
}
END_TEST

static const char *usage_of(const char *usage)
{
    aigw_completion_usage_t u;

    accepted(apr_pstrcat(pool, "{\"usage\":", usage, "}", NULL));
    if (!aigw_completion_usage(&answer, &u)) {
        return "none";
    }
    return apr_psprintf(pool, "%d %d %d %d %d", (int)u.prompt_tokens, (int)u.completion_tokens, (int)u.total_tokens, (int)u.cached_tokens,
                        (int)u.reasoning_tokens);
}

START_TEST(usage_is_read)
{
    ck_assert_str_eq(
        usage_of("{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":5}}"),
        "1 2 3 4 5");
    ck_assert_str_eq(usage_of("{}"), "-1 -1 -1 -1 -1");
    ck_assert_str_eq(usage_of("{\"prompt_tokens\":1.0,\"completion_tokens\":\"2\",\"total_tokens\":1e2,\"prompt_tokens_details\":[4],"
                              "\"completion_tokens_details\":null}"),
                     "-1 -1 -1 -1 -1");
    ck_assert_str_eq(usage_of("{\"prompt_tokens\":99999999999999999999,\"total_tokens\":0}"), "-1 -1 0 -1 -1");
    ck_assert_str_eq(usage_of("null"), "none");
    ck_assert_str_eq(usage_of("[1]"), "none");
}
END_TEST

static double progress_of(const char *progress)
{
    accepted(apr_pstrcat(pool, "{\"progress\":", progress, "}", NULL));
    return aigw_completion_progress(&answer);
}

START_TEST(progress_is_read)
{
    ck_assert(progress_of("0") == 0 && progress_of("1") == 1 && progress_of("0.25") == 0.25);
    ck_assert(progress_of("-0.1") == -1 && progress_of("1.1") == -1 && progress_of("\"0.5\"") == -1 && progress_of("null") == -1);
    accepted("{}");
    ck_assert(aigw_completion_progress(&answer) == -1);
}
END_TEST

static const char *finish_of(const char *choices)
{
    accepted(apr_pstrcat(pool, "{\"choices\":", choices, "}", NULL));
    return quoted(aigw_completion_finish(&answer, pool, 8));
}

START_TEST(the_first_choice_finishes)
{
    ck_assert_str_eq(finish_of("[{\"finish_reason\":\"st\\u006fp\"},{\"finish_reason\":\"no\"}]"), "'stop'");
    ck_assert_str_eq(finish_of("[{\"finish_reason\":\"123456789\"}]"), "-");
    ck_assert_str_eq(finish_of("[{\"finish_reason\":null}]"), "-");
    ck_assert_str_eq(finish_of("[[\"finish_reason\",\"no\"]]"), "-");
    ck_assert_str_eq(finish_of("[]"), "-");
    ck_assert_str_eq(finish_of("{}"), "-");
}
END_TEST

static const char *peeked(const char *text)
{
    char *copy = malloc(strlen(text) ? strlen(text) : 1); /* of its own size, for the sanitizer */
    aigw_completion_peek_t peek;
    const char *said;

    MUST(copy != NULL);
    memcpy(copy, text, strlen(text));
    aigw_completion_peek(copy, strlen(text), &peek);
    said = apr_psprintf(pool, "%s%s", peek.closer ? "closer " : "",
                        quoted(peek.finish ? apr_pstrmemdup(pool, peek.finish, peek.finish_len) : NULL));
    free(copy);
    return said;
}

START_TEST(a_chunk_is_looked_at)
{
    ck_assert_str_eq(peeked("{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}],\"usage\":null}"), "-");
    ck_assert_str_eq(peeked("{\"choices\":[{\"delta\":{},\"finish_reason\" : \"stop\"}]}"), "'stop'");
    ck_assert_str_eq(peeked("{\"choices\":[],\"usage\":\n{}}"), "closer -");
    ck_assert_str_eq(peeked("{\"choices\" :[],\"usage\"\t: {}}"), "closer -");
    ck_assert_str_eq(peeked("{\"error\":{}}"), "closer -");
    ck_assert_str_eq(peeked(""), "closer -");
    ck_assert_str_eq(peeked("\"choices\""), "closer -");
    ck_assert_str_eq(peeked("\"choices\": "), "closer -");
    ck_assert_str_eq(peeked("{\"choices\":0,\"finish_reason\":\"st"), "-");
}
END_TEST

/* Tokens that are the members' names hide nothing. */
START_TEST(a_string_is_no_name)
{
    ck_assert_str_eq(peeked("{\"choices\":[{\"delta\":{\"content\":\"usage\"}}],\"usage\":{}}"), "closer -");
    ck_assert_str_eq(peeked("{\"choices\":[{\"delta\":{\"content\":\"finish_reason\"},\"finish_reason\":\"stop\"}]}"), "'stop'");
    ck_assert_str_eq(peeked("{\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\"}}]}"), "-");
    ck_assert_str_eq(peeked("{\"choices\":[{\"usage\":1,\"finish_reason\":null},{\"finish_reason\":\"x\"}],\"usage\":{}}"), "closer 'x'");
    ck_assert_str_eq(peeked("{\"content\":\"choices\"}"), "closer -");
}
END_TEST

/* Many and large, so that a mistake in the scratch memory shows. */
START_TEST(a_large_answer_is_read)
{
    char *text = malloc(1 << 20), *at = text;
    const char *said = "";
    int i;

    MUST(text != NULL);
    at += sprintf(at, "{\"choices\":[{\"message\":{\"tool_calls\":[");
    for (i = 0; i < 300; ++i) {
        memset(at, 'x', 20 + (size_t)i);
        memcpy(at, "{\"id\":\"\\n", 9);
        at += 20 + i;
        at += sprintf(at, "\"},");
    }
    strcpy(at, "0],\"content\":\"end\"}}]}");
    said = told(text, "message");
    ck_assert_int_eq(strncmp(said, "0:'end' 0:tool0('\nxxxxxxxxxxx',-,-) 0:tool1('\nxxxxxxxxxxxx',-,-) ", 64), 0);
    ck_assert_ptr_nonnull(strstr(said, " 0:tool300(-,-,-)"));
    free(text);
}
END_TEST

Suite *suite_completion(void)
{
    Suite *s = suite_create("completion");
    TCase *c = tcase_create("completion");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_whole_answer_is_told_in_order);
    tcase_add_test(c, tool_calls_are_told_one_by_one);
    tcase_add_test(c, strings_are_unescaped);
    tcase_add_test(c, a_wrong_type_is_as_good_as_absent);
    tcase_add_test(c, an_index_that_cannot_be_is_nobodys);
    tcase_add_test(c, the_last_of_two_members_counts);
    tcase_add_test(c, choices_are_there_or_not);
    tcase_add_test(c, errors_are_objects_or_strings);
    tcase_add_test(c, servers_fail_in_many_words);
    tcase_add_test(c, an_error_of_a_megabyte_says_nothing);
    tcase_add_test(c, usage_is_read);
    tcase_add_test(c, progress_is_read);
    tcase_add_test(c, the_first_choice_finishes);
    tcase_add_test(c, a_chunk_is_looked_at);
    tcase_add_test(c, a_string_is_no_name);
    tcase_add_test(c, a_large_answer_is_read);
    suite_add_tcase(s, c);
    return s;
}
