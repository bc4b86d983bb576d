/* aigw_json_scan: the scanner. What reads its values is tested in test_json_value.c. */
#include "suites.h"
#include "aigw_json_scan.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_json_scan_t scan;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static apr_status_t free_copy(void *data)
{
    free(data);
    return APR_SUCCESS;
}

/* Scans a copy of its own size, so that the sanitizer sees a read beyond it. It lives as long as the test. */
static apr_status_t scan_bytes(const char *text, apr_size_t len)
{
    char *copy = malloc(len ? len : 1);

    MUST(copy != NULL);
    memcpy(copy, text, len);
    apr_pool_cleanup_register(pool, copy, free_copy, apr_pool_cleanup_null);
    return aigw_json_scan(&scan, pool, copy, len);
}

static void accepted(const char *text)
{
    apr_status_t rv = scan_bytes(text, strlen(text));

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s at %lu", text, scan.why, (unsigned long)scan.at);
    ck_assert_ptr_null(scan.why);
}

static void refused_bytes(const char *text, apr_size_t len, const char *why, apr_size_t at)
{
    apr_status_t rv = scan_bytes(text, len);

    ck_assert_msg(rv == APR_EINVAL, "%s was accepted", text);
    ck_assert_msg(strcmp(scan.why, why) == 0 && scan.at == at, "%s: %s at %lu, expected %s at %lu", text, scan.why, (unsigned long)scan.at,
                  why, (unsigned long)at);
}

static void refused(const char *text, const char *why, apr_size_t at)
{
    refused_bytes(text, strlen(text), why, at);
}

static const char *span_text(const aigw_json_span_t *span)
{
    return apr_pstrmemdup(pool, scan.text + span->start, span->end - span->start);
}

/* ---- syntax ---- */

START_TEST(every_kind_of_root_is_accepted)
{
    static const struct {
        const char *text, *root;
        aigw_json_kind_e kind;
    } roots[] = {
        {"{}", "{}", AIGW_JSON_OBJECT},       {" \t\r\n[ ] ", "[ ]", AIGW_JSON_ARRAY},
        {"\"a\"", "\"a\"", AIGW_JSON_STRING}, {" -1.5e+3\n", "-1.5e+3", AIGW_JSON_NUMBER},
        {"0", "0", AIGW_JSON_NUMBER},         {"true", "true", AIGW_JSON_TRUE},
        {"false", "false", AIGW_JSON_FALSE},  {"null ", "null", AIGW_JSON_NULL},
    };
    size_t i;

    for (i = 0; i < sizeof(roots) / sizeof(*roots); ++i) {
        accepted(roots[i].text);
        ck_assert_int_eq(scan.root.kind, roots[i].kind);
        ck_assert_str_eq(span_text(&scan.root), roots[i].root);
        ck_assert_int_eq(scan.nmembers, 0);
    }
}
END_TEST

START_TEST(valid_texts_are_accepted)
{
    static const char *const texts[] = {
        "[1,2,3]",
        "[[],{},[[]],[{}]]",
        "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":[]}",
        "[0,-0,0.0,-0.5,1e5,1E5,1e+5,1e-5,1.25e10,123456789012345678901234567890]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u0000\"]",
        "\"\\ud83d\\ude00 \\uDBFF\\uDFFF \\uffff \\ue000 \\ud7ff\"",
        "\"\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xe2\x82\xac \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"",
        "{\"x\":{\"same\":1,\"same\":2}}",
        "[\"\",\"0123456\",\"01234567\",\"012345678\",\"0123456789012345678901234567890123456789\"]",
        "{\"\":1}",
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(*texts); ++i) {
        accepted(texts[i]);
    }
}
END_TEST

START_TEST(broken_texts_are_refused)
{
    refused("", "a value is missing at the end", 0);
    refused("  ", "a value is missing at the end", 2);
    refused("[1,", "a value is missing at the end", 3);
    refused("{\"a\":", "a value is missing at the end", 5);
    refused("[1,]", "a value is missing", 3);
    refused("[,1]", "a value is missing", 1);
    refused("{\"a\":}", "a value is missing", 5);
    refused("{\"a\":,", "a value is missing", 5);
    refused("]", "a value is missing", 0);
    refused("x", "this is not a JSON value", 0);
    refused("tru", "this is not a JSON value", 0);
    refused("[True]", "this is not a JSON value", 1);
    refused("nul", "this is not a JSON value", 0);
    refused("[fals]", "this is not a JSON value", 1);
    refused("'a'", "this is not a JSON value", 0);
    refused("[NaN]", "this is not a JSON value", 1);
    refused("\xef\xbb\xbf{}", "this is not a JSON value", 0);
    refused_bytes("\0", 1, "this is not a JSON value", 0);
    refused("[1 2]", "a comma or a closing bracket is missing", 3);
    refused("[1}", "a comma or a closing bracket is missing", 2);
    refused("[1", "a comma or a closing bracket is missing", 2);
    refused("{\"a\":1 \"b\":2}", "a comma or a closing brace is missing", 7);
    refused("{\"a\":1]", "a comma or a closing brace is missing", 6);
    refused("{\"a\":nullx}", "a comma or a closing brace is missing", 9);
    refused("{\"a\" 1}", "a colon after a member name is missing", 5);
    refused("{\"a\"", "a colon after a member name is missing", 4);
    refused("{a:1}", "a member name in quotes is missing", 1);
    refused("{\"a\":1,}", "a member name in quotes is missing", 7);
    refused("{", "a member name in quotes is missing", 1);
    refused("{1:2}", "a member name in quotes is missing", 1);
    refused("{} {}", "something follows the end of the JSON text", 3);
    refused("nullx", "something follows the end of the JSON text", 4);
    refused_bytes("{}\0", 3, "something follows the end of the JSON text", 2);
    refused("1//x", "something follows the end of the JSON text", 1);
}
END_TEST

START_TEST(broken_numbers_are_refused)
{
    refused("-", "a digit is missing in a number", 1);
    refused("[-]", "a digit is missing in a number", 2);
    refused("-a", "a digit is missing in a number", 1);
    refused("1.", "a digit is missing in a number", 2);
    refused("[1.]", "a digit is missing in a number", 3);
    refused("1.e5", "a digit is missing in a number", 2);
    refused("1e", "a digit is missing in a number", 2);
    refused("1e+", "a digit is missing in a number", 3);
    refused("1e-x", "a digit is missing in a number", 3);
    refused("01", "a number begins with a zero", 1);
    refused("-00", "a number begins with a zero", 2);
    refused("+1", "this is not a JSON value", 0);
    refused(".5", "this is not a JSON value", 0);
    refused("1.5.5", "something follows the end of the JSON text", 3);
    refused("0x10", "something follows the end of the JSON text", 1);
}
END_TEST

START_TEST(broken_strings_are_refused)
{
    static const char *const escapes[] = {"\\x",
                                          "\\",
                                          "\\u",
                                          "\\u12",
                                          "\\u123g",
                                          "\\U0041",
                                          "\\ud800",
                                          "\\ud800x",
                                          "\\ud800\\n",
                                          "\\ud800\\u0041",
                                          "\\ud800\\ud800",
                                          "\\udc00",
                                          "\\udc00\\udc00",
                                          "\\ud83d\\ude",
                                          "\\ud83d\\u",
                                          "\\'",
                                          "\\0",
                                          "\\u 123",
                                          "\\u-123"};
    size_t i;

    refused("\"", "a string is not closed", 1);
    refused("\"abc", "a string is not closed", 4);
    refused("\"0123456789012345678901234567890123456789", "a string is not closed", 41);
    refused("\"abc\\\"", "a string is not closed", 6);
    refused("\"a\nb\"", "a control character in a string is not escaped", 2);
    refused("\"a\x1f\"", "a control character in a string is not escaped", 2);
    refused_bytes("\"a\0b\"", 5, "a control character in a string is not escaped", 2);
    for (i = 0; i < sizeof(escapes) / sizeof(*escapes); ++i) {
        refused(apr_pstrcat(pool, "\"ab", escapes[i], NULL), "an escape in a string is not valid", 3);
        if (strcmp(escapes[i], "\\") != 0) {
            refused(apr_pstrcat(pool, "\"ab", escapes[i], "\"", NULL), "an escape in a string is not valid", 3);
        }
    }
    refused_bytes("\"\\\0\"", 4, "an escape in a string is not valid", 1);
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_refused)
{
    static const char *const bytes[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2x",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xe2x\xac",
        "\xe2\x82x",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x9f\x98",
        "\xf0\x9f\x98x",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc3\xc3",
    };
    size_t i, before;

    for (i = 0; i < sizeof(bytes) / sizeof(*bytes); ++i) {
        for (before = 0; before < 40; ++before) { /* wherever it stands in the words that are looked at together */
            const char *text = apr_psprintf(pool, "\"%.*s%s\"", (int)before, "0123456789012345678901234567890123456789", bytes[i]);

            refused(text, "a string is not valid UTF-8", before + 1);
        }
        refused(apr_pstrcat(pool, "\"", bytes[i], NULL), "a string is not valid UTF-8", 1);
        refused(apr_pstrcat(pool, "\"\xe2\x82\xac", bytes[i], "\"", NULL), "a string is not valid UTF-8", 4);
        refused(apr_pstrcat(pool, "{\"", bytes[i], "\":1}", NULL), "a string is not valid UTF-8", 2);
    }
}
END_TEST

/* Each byte at each place of a long string: the search for what is special must not miss one. */
START_TEST(every_byte_is_seen_wherever_it_stands)
{
    char text[100];
    int c, at;

    for (c = 0; c < 256; ++c) {
        for (at = 1; at < 99; ++at) {
            apr_status_t rv;

            memset(text, 'a', sizeof(text));
            text[0] = text[99] = '"';
            text[at] = (char)c;
            rv = aigw_json_scan(&scan, pool, text, sizeof(text));
            if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
                MUST(rv == APR_SUCCESS);
            }
            else if (c == '\\' && at == 98) { /* it escapes the closing quote */
                MUST(rv == APR_EINVAL && scan.at == sizeof(text));
            }
            else if (c == '"') {
                MUST(rv == APR_EINVAL && scan.at == (apr_size_t)at + 1);
            }
            else {
                MUST(rv == APR_EINVAL && scan.at == (apr_size_t)at);
            }
        }
    }
}
END_TEST

START_TEST(every_beginning_of_a_text_is_refused)
{
    static const char text[] =
        "{\"model\":\"m\\u00e9\\ud83d\\ude00\",\"messages\":[{\"role\":\"user\",\"content\":\"gr\xc3\xbc\xf0\x9f\x98\x80\"}],"
        "\"t\":-1.5e+3,\"a\":true,\"b\":false,\"c\":null,\"d\":[1,[2,{}]]}";
    apr_size_t n;

    for (n = 0; n < sizeof(text) - 1; ++n) {
        ck_assert_int_eq(scan_bytes(text, n), APR_EINVAL);
        ck_assert(scan.at <= n);
        ck_assert_ptr_nonnull(scan.why);
    }
    accepted(text);
}
END_TEST

START_TEST(mistakes_are_told_by_line_and_column)
{
    refused("{\n  \"a\": 1,\n  \"b\" 2\n}", "a colon after a member name is missing", 18);
    ck_assert_int_eq(scan.line, 3);
    ck_assert_int_eq(scan.column, 7);
    refused("x", "this is not a JSON value", 0);
    ck_assert_int_eq(scan.line, 1);
    ck_assert_int_eq(scan.column, 1);
    refused("\n", "a value is missing at the end", 1);
    ck_assert_int_eq(scan.line, 2);
    ck_assert_int_eq(scan.column, 1);
    ck_assert_int_eq(aigw_json_scan(&scan, pool, NULL, 0), APR_EINVAL);
    ck_assert_int_eq(scan.line, 1);
    ck_assert_int_eq(scan.column, 1);
}
END_TEST

/* ---- limits ---- */

static char *nested(int depth, char open, char close)
{
    char *text = apr_palloc(pool, (apr_size_t)depth * 2 + 1);

    memset(text, open, (apr_size_t)depth);
    memset(text + depth, close, (apr_size_t)depth);
    text[depth * 2] = '\0';
    return text;
}

START_TEST(depth_has_a_limit)
{
    char *text = apr_pstrdup(pool, "");
    int i;

    accepted(nested(AIGW_JSON_DEPTH_MAX, '[', ']'));
    refused(nested(AIGW_JSON_DEPTH_MAX + 1, '[', ']'), "the text is nested too deeply", AIGW_JSON_DEPTH_MAX);
    refused(nested(1000000, '[', ']'), "the text is nested too deeply", AIGW_JSON_DEPTH_MAX);
    for (i = 0; i < AIGW_JSON_DEPTH_MAX; ++i) {
        text = apr_pstrcat(pool, text, "{\"a\":", NULL);
    }
    refused(apr_pstrcat(pool, text, "{}", NULL), "the text is nested too deeply", AIGW_JSON_DEPTH_MAX * 5);
    text = apr_pstrcat(pool, text, "1", NULL);
    for (i = 0; i < AIGW_JSON_DEPTH_MAX; ++i) {
        text = apr_pstrcat(pool, text, "}", NULL);
    }
    accepted(text);
}
END_TEST

START_TEST(the_number_of_members_has_a_limit)
{
    char *text = apr_pstrdup(pool, "{\"m0\":0");
    int i;

    for (i = 1; i < AIGW_JSON_MEMBERS_MAX; ++i) {
        text = apr_psprintf(pool, "%s,\"m%d\":%d", text, i, i);
    }
    accepted(apr_pstrcat(pool, text, "}", NULL));
    ck_assert_int_eq(scan.nmembers, AIGW_JSON_MEMBERS_MAX);
    for (i = 0; i < AIGW_JSON_MEMBERS_MAX; ++i) {
        const aigw_json_member_t *m = aigw_json_member(&scan, apr_psprintf(pool, "m%d", i));

        ck_assert_ptr_eq(m, &scan.members[i]);
        ck_assert_str_eq(span_text(&m->value), apr_itoa(pool, i));
    }
    refused(apr_pstrcat(pool, text, ",\"more\":1}", NULL), "the object has too many members", strlen(text) + 1);
    accepted(apr_pstrcat(pool, "{\"nested\":", text, ",\"more\":1}}", NULL));
}
END_TEST

START_TEST(top_level_names_have_a_limit)
{
    char name[AIGW_JSON_NAME_MAX + 2];

    memset(name, 'n', sizeof(name));
    name[AIGW_JSON_NAME_MAX] = '\0';
    accepted(apr_pstrcat(pool, "{\"", name, "\":1}", NULL));
    ck_assert_str_eq(scan.members[0].name, name);
    refused(apr_pstrcat(pool, "{\"x", name, "\":1}", NULL), "a member name is too long", 1);
    accepted(apr_pstrcat(pool, "{\"a\":{\"x", name, "\":1}}", NULL));
}
END_TEST

START_TEST(a_name_never_has_a_nul)
{
    refused("{\"a\\u0000\":1}", "a member name contains a NUL", 3);
    refused("{\"b\":{\"a\\u0000b\":1}}", "a member name contains a NUL", 8);
    accepted("{\"b\":\"a\\u0000\"}");
}
END_TEST

START_TEST(a_member_stands_only_once)
{
    refused("{\"model\":1,\"x\":2,\"model\":3}", "a member stands twice in the object", 17);
    refused("{\"model\":1,\"m\\u006fdel\":3}", "a member stands twice in the object", 11);
    refused("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":3}", "a member stands twice in the object", 18);
    refused("{\"\":1,\"\":3}", "a member stands twice in the object", 6);
    accepted("{\"model\":1,\"Model\":2,\"model \":3,\"mode\":4}");
    accepted("[{\"a\":1,\"a\":2}]");
}
END_TEST

/* ---- members ---- */

START_TEST(members_are_listed_in_order)
{
    accepted(" { \"a\" : 1 , \"b\\n\\u00e9\":{\"c\":[2,3]}, \"d\":\"x\" ,\"e\":[ ] } ");
    ck_assert_int_eq(scan.nmembers, 4);
    ck_assert_str_eq(scan.members[0].name, "a");
    ck_assert_int_eq(scan.members[0].name_start, 3);
    ck_assert_int_eq(scan.members[0].value.kind, AIGW_JSON_NUMBER);
    ck_assert_str_eq(span_text(&scan.members[0].value), "1");
    ck_assert_str_eq(scan.members[1].name, "b\n\xc3\xa9");
    ck_assert_int_eq(scan.text[scan.members[1].name_start], '"');
    ck_assert_int_eq(scan.members[1].value.kind, AIGW_JSON_OBJECT);
    ck_assert_str_eq(span_text(&scan.members[1].value), "{\"c\":[2,3]}");
    ck_assert_int_eq(scan.members[2].value.kind, AIGW_JSON_STRING);
    ck_assert_str_eq(span_text(&scan.members[2].value), "\"x\"");
    ck_assert_int_eq(scan.members[3].value.kind, AIGW_JSON_ARRAY);
    ck_assert_str_eq(span_text(&scan.members[3].value), "[ ]");
    ck_assert_ptr_eq(aigw_json_member(&scan, "d"), &scan.members[2]);
    ck_assert_ptr_null(aigw_json_member(&scan, "c"));
    ck_assert_ptr_null(aigw_json_member(&scan, ""));
}
END_TEST

/* A check: the rules of the top level are those of nested objects, and no string holds a NUL. */
START_TEST(a_check_lists_nothing)
{
    static const char twice[] = "{\"a\":1,\"a\":[\"x\"]}", nul[] = "{\"a\":\n\"x\\u0000\"}";
    char *many = apr_palloc(pool, 4000), *at = many;
    aigw_json_span_t name, value;
    apr_size_t pos = 0;
    int i;

    ck_assert_int_eq(aigw_json_check(&scan, twice, sizeof(twice) - 1), APR_SUCCESS);
    ck_assert_int_eq(scan.nmembers, 0);
    ck_assert_ptr_null(aigw_json_member(&scan, "a"));
    ck_assert_int_eq(scan.root.end, sizeof(twice) - 1);
    while (aigw_json_next(&scan, &scan.root, &pos, &name, &value)) {
    }
    ck_assert_str_eq(span_text(&value), "[\"x\"]");
    for (i = 0; i <= AIGW_JSON_MEMBERS_MAX; ++i) {
        at += sprintf(at, "%c\"%d\":0", i ? ',' : '{', i);
    }
    strcpy(at, "}");
    ck_assert_int_eq(aigw_json_check(&scan, many, strlen(many)), APR_SUCCESS);
    ck_assert_int_eq(aigw_json_check(&scan, nul, sizeof(nul) - 1), APR_EINVAL);
    ck_assert_str_eq(scan.why, "a string contains a NUL");
    MUST(scan.line == 2 && scan.column == 3);
    ck_assert_int_eq(aigw_json_check(&scan, "{\"\\u0000\":1}", 12), APR_EINVAL);
    ck_assert_str_eq(scan.why, "a member name contains a NUL");
    ck_assert_int_eq(aigw_json_check(&scan, NULL, 0), APR_EINVAL);
}
END_TEST

Suite *suite_json_scan(void)
{
    Suite *s = suite_create("json_scan");
    TCase *syntax = tcase_create("syntax"), *limits = tcase_create("limits");

    tcase_add_checked_fixture(syntax, setup, teardown);
    tcase_add_test(syntax, every_kind_of_root_is_accepted);
    tcase_add_test(syntax, valid_texts_are_accepted);
    tcase_add_test(syntax, broken_texts_are_refused);
    tcase_add_test(syntax, broken_numbers_are_refused);
    tcase_add_test(syntax, broken_strings_are_refused);
    tcase_add_test(syntax, bytes_that_are_not_utf8_are_refused);
    tcase_add_test(syntax, every_byte_is_seen_wherever_it_stands);
    tcase_add_test(syntax, every_beginning_of_a_text_is_refused);
    tcase_add_test(syntax, mistakes_are_told_by_line_and_column);
    suite_add_tcase(s, syntax);
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_add_test(limits, depth_has_a_limit);
    tcase_add_test(limits, the_number_of_members_has_a_limit);
    tcase_add_test(limits, top_level_names_have_a_limit);
    tcase_add_test(limits, a_name_never_has_a_nul);
    tcase_add_test(limits, a_member_stands_only_once);
    tcase_add_test(limits, members_are_listed_in_order);
    tcase_add_test(limits, a_check_lists_nothing);
    suite_add_tcase(s, limits);
    return s;
}
