/* aigw_json_value: reading values of a text that the scanner accepted */
#include "suites.h"
#include "aigw_json_scan.h"

#include <apr_strings.h>
#include <math.h>
#include <stdlib.h>
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
static void accepted(const char *text)
{
    apr_size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);

    MUST(copy != NULL);
    memcpy(copy, text, len);
    apr_pool_cleanup_register(pool, copy, free_copy, apr_pool_cleanup_null);
    ck_assert_msg(aigw_json_scan(&scan, pool, copy, len) == APR_SUCCESS, "%s: %s at %lu", text, scan.why, (unsigned long)scan.at);
}

static const char *span_text(const aigw_json_span_t *span)
{
    return apr_pstrmemdup(pool, scan.text + span->start, span->end - span->start);
}

/* ---- walking ---- */

/* What a walk finds, in words: "name=value;". */
static const char *walk(const aigw_json_span_t *outer)
{
    aigw_json_span_t name = {AIGW_JSON_NULL, 0, 0}, value;
    apr_size_t pos = 0;
    char *text = apr_pstrdup(pool, "");

    while (aigw_json_next(&scan, outer, &pos, &name, &value)) {
        text = apr_psprintf(pool, "%s%s=%d%s;", text, name.end ? span_text(&name) : "", value.kind, span_text(&value));
    }
    ck_assert_int_eq(aigw_json_next(&scan, outer, &pos, &name, &value), 0);
    return text;
}

START_TEST(objects_and_arrays_are_walked)
{
    accepted("{\"a\":1,\"b\":[true,\"]\\\"}\\\\\",{\"c\":\"[{\"}],\"d\":{ },\"e\":null ,\"f\":\"\"}");
    ck_assert_str_eq(walk(&scan.root), "\"a\"=31;\"b\"=1[true,\"]\\\"}\\\\\",{\"c\":\"[{\"}];\"d\"=0{ };\"e\"=6null;\"f\"=2\"\";");
    ck_assert_str_eq(walk(&scan.members[1].value), "=4true;=2\"]\\\"}\\\\\";=0{\"c\":\"[{\"};");
    ck_assert_str_eq(walk(&scan.members[2].value), "");
    ck_assert_str_eq(walk(&scan.members[0].value), "");
    ck_assert_str_eq(walk(&scan.members[4].value), "");
    accepted(" [ 1 , -2.5e3\t,\n[ ] ,false\r] ");
    ck_assert_str_eq(walk(&scan.root), "=31;=3-2.5e3;=1[ ];=5false;");
    accepted("[]");
    ck_assert_str_eq(walk(&scan.root), "");
    accepted("[\"\\\\\\\\\",\"\\\\\\\"\"]");
    ck_assert_str_eq(walk(&scan.root), "=2\"\\\\\\\\\";=2\"\\\\\\\"\";");
}
END_TEST

START_TEST(a_name_need_not_be_asked_for)
{
    aigw_json_span_t value;
    apr_size_t pos = 0;

    accepted("{\"a\":1}");
    ck_assert_int_eq(aigw_json_next(&scan, &scan.root, &pos, NULL, &value), 1);
    ck_assert_str_eq(span_text(&value), "1");
}
END_TEST

/* Any span of any kind may be asked about: the answer may be wrong, but nothing outside of the text is read and every walk ends. */
START_TEST(no_span_leads_out_of_the_text)
{
    static const char text[] = "{\"a\":[1,\"\\u00e9\\\\\",{\"b\":2.5e1}]}";
    aigw_json_span_t span, name, value;
    int kind, steps;
    apr_int64_t i;
    double d;

    accepted(text);
    for (span.start = 0; span.start <= sizeof(text); ++span.start) {
        for (span.end = 0; span.end <= sizeof(text); ++span.end) {
            for (kind = AIGW_JSON_OBJECT; kind <= AIGW_JSON_NULL; ++kind) {
                apr_size_t pos = 0;

                span.kind = (aigw_json_kind_e)kind;
                for (steps = 0; aigw_json_next(&scan, &span, &pos, &name, &value); ++steps) {
                    MUST(value.end <= scan.len && value.start < value.end && steps < 100);
                }
                (void)aigw_json_string_is(&scan, &span, "a");
                (void)aigw_json_string(&scan, &span, pool, 0, NULL);
                (void)aigw_json_int(&scan, &span, &i);
                (void)aigw_json_double(&scan, &span, &d);
            }
        }
    }
}
END_TEST

/* ---- strings ---- */

START_TEST(strings_are_compared_unescaped)
{
    aigw_json_span_t number;

    accepted("[\"a\\u0062c\\n\\ud83d\\ude00\"]");
    scan.root.kind = AIGW_JSON_STRING;
    scan.root.start = 1;
    scan.root.end = scan.len - 1;
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, "abc\n\xf0\x9f\x98\x80"), 1);
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, "abc\n\xf0\x9f\x98"), 0);
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, "abc\n\xf0\x9f\x98\x80x"), 0);
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, "abx\n\xf0\x9f\x98\x80"), 0);
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, ""), 0);
    accepted("\"\"");
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, ""), 1);
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, "a"), 0);
    accepted("\"a\\u0000\"");
    ck_assert_int_eq(aigw_json_string_is(&scan, &scan.root, "a"), 0);
    accepted("12");
    number = scan.root;
    ck_assert_int_eq(aigw_json_string_is(&scan, &number, "12"), 0);
}
END_TEST

START_TEST(strings_are_unescaped)
{
    apr_size_t len;
    char *s;

    accepted("\"\\\"\\\\\\/\\b\\f\\n\\r\\t plain \\u0041\\u00e9\\u20ac\\ud83d\\ude00\\uFFFF\\u007f\\u0080\\u07ff\\u0800\\udbff\\udfff\"");
    s = aigw_json_string(&scan, &scan.root, pool, 0, &len);
    ck_assert_str_eq(
        s, "\"\\/\b\f\n\r\t plain A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xf4\x8f\xbf\xbf");
    ck_assert_int_eq(len, strlen(s));
    accepted("\"a\\u0000b\"");
    s = aigw_json_string(&scan, &scan.root, pool, 0, &len);
    ck_assert_int_eq(len, 3);
    ck_assert_int_eq(memcmp(s, "a\0b", 4), 0);
    accepted("\"\"");
    ck_assert_str_eq(aigw_json_string(&scan, &scan.root, pool, 0, NULL), "");
    accepted("1");
    ck_assert_ptr_null(aigw_json_string(&scan, &scan.root, pool, 0, NULL));
}
END_TEST

START_TEST(a_string_over_the_limit_is_not_given)
{
    accepted("\"abcde\"");
    ck_assert_str_eq(aigw_json_string(&scan, &scan.root, pool, 5, NULL), "abcde");
    ck_assert_ptr_null(aigw_json_string(&scan, &scan.root, pool, 4, NULL));
    accepted("\"\\u0061\\u0062\"");
    ck_assert_str_eq(aigw_json_string(&scan, &scan.root, pool, 2, NULL), "ab");
    ck_assert_ptr_null(aigw_json_string(&scan, &scan.root, pool, 1, NULL));
    accepted("\"\\u20ac\"");
    ck_assert_str_eq(aigw_json_string(&scan, &scan.root, pool, 3, NULL), "\xe2\x82\xac");
    ck_assert_ptr_null(aigw_json_string(&scan, &scan.root, pool, 2, NULL));
    accepted("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"");
    ck_assert_ptr_null(aigw_json_string(&scan, &scan.root, pool, 10, NULL));
}
END_TEST

/* ---- numbers ---- */

START_TEST(integers_are_read)
{
    static const struct {
        const char *text;
        apr_int64_t value;
    } good[] = {
        {"0", 0},
        {"-0", 0},
        {"0.000", 0},
        {"0e99999999999999999999999", 0},
        {"1", 1},
        {"-1", -1},
        {"4096", 4096},
        {"1.0", 1},
        {"1e2", 100},
        {"1E+2", 100},
        {"100e-2", 1},
        {"1.50e1", 15},
        {"0.00012e5", 12},
        {"1000000000000000000000000000000e-30", 1},
        {"10203.0405e4", 102030405},
        {"9223372036854775807", APR_INT64_MAX},
        {"-9223372036854775808", APR_INT64_MIN},
        {"-9223372036854775807", -APR_INT64_MAX},
        {"922337203685477580.70e1", APR_INT64_MAX},
        {"9e18", 9000000000000000000},
    };
    static const char *const bad[] = {"0.5",
                                      "1.5",
                                      "1e-1",
                                      "15e-1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "1e19",
                                      "1e99999999999999999999",
                                      "1e-99999999999999999999",
                                      "99999999999999999999999",
                                      "1e18446744073709551616",
                                      "10e18",
                                      "99999999999999999990e-1",
                                      "\"1\"",
                                      "true",
                                      "null",
                                      "[]"};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(*good); ++i) {
        apr_int64_t v = 77;

        accepted(good[i].text);
        ck_assert_msg(aigw_json_int(&scan, &scan.root, &v) == 1, "%s", good[i].text);
        ck_assert_int_eq(v, good[i].value);
    }
    for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
        apr_int64_t v = 77;

        accepted(bad[i]);
        ck_assert_msg(aigw_json_int(&scan, &scan.root, &v) == 0, "%s", bad[i]);
        ck_assert_int_eq(v, 77);
    }
}
END_TEST

static const char *const doubles[] = {
    "0.7",
    "-1.5e3",
    "2",
    "1e-7",
    "123456.789e-2",
    "1.7976931348623157e308",
    "4.9e-324",
    "2.2250738585072011e-308",
    "0.1",
    "1e22",
    "9007199254740993",
    "3.14159265358979323846",
    "1e-400",
    "0.000000000000000000000000000000000000000000000000000000001e57",
    "100000000000000000000000000000",
    "8.5e-1",
};

START_TEST(doubles_are_read)
{
    static const char *const bad[] = {"1e309", "-1e400", "1e99999999999999999999", "\"1\"", "null", "{}"};
    double v = 77;
    size_t i;

    for (i = 0; i < sizeof(doubles) / sizeof(*doubles); ++i) {
        accepted(doubles[i]);
        ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
        ck_assert_msg(v == strtod(doubles[i], NULL), "%s", doubles[i]);
    }
    accepted("-0.0");
    ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
    ck_assert(v == 0 && signbit(v));
    accepted("0e5");
    ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
    ck_assert(v == 0 && !signbit(v));
    for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
        accepted(bad[i]);
        v = 77;
        ck_assert_msg(aigw_json_double(&scan, &scan.root, &v) == 0, "%s", bad[i]);
        ck_assert(v == 77);
    }
}
END_TEST

/* Halfway between two doubles what decides may be hundreds of digits away. */
START_TEST(long_numbers_are_rounded_right)
{
    char *zeros = apr_palloc(pool, 3001);
    double v;
    apr_int64_t i;

    memset(zeros, '0', 3000);
    zeros[3000] = '\0';
    accepted("9007199254740993");
    ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
    ck_assert(v == 9007199254740992.0);
    accepted(apr_pstrcat(pool, "9007199254740993.", zeros, "1", NULL));
    ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
    ck_assert(v == 9007199254740994.0);
    ck_assert_int_eq(aigw_json_int(&scan, &scan.root, &i), 0);
    accepted(apr_pstrcat(pool, "9007199254740993.", zeros, "1234", zeros, NULL));
    ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
    ck_assert(v == 9007199254740994.0);
    accepted(apr_pstrcat(pool, "5", zeros, "e-3000", NULL));
    ck_assert_int_eq(aigw_json_int(&scan, &scan.root, &i), 1);
    ck_assert_int_eq(i, 5);
    accepted(apr_pstrcat(pool, "0.", zeros, "5e3001", NULL));
    ck_assert_int_eq(aigw_json_int(&scan, &scan.root, &i), 1);
    ck_assert_int_eq(i, 5);
    accepted(apr_pstrcat(pool, "12345", zeros, "6", zeros, "7.5e-6006", NULL));
    ck_assert_int_eq(aigw_json_double(&scan, &scan.root, &v), 1);
    ck_assert(v == 1.2345);
}
END_TEST

START_TEST(strings_are_unescaped_in_place)
{
    static const aigw_json_span_t number = {AIGW_JSON_NUMBER, 0, 1};
    char *out;

    accepted("\"a\\u00e4\\ud83d\\ude00\\n\"");
    out = malloc(scan.root.end - scan.root.start - 1);
    ck_assert_int_eq(aigw_json_unescape(&scan, &scan.root, out), 8);
    ck_assert_str_eq(out, "a\xc3\xa4\xf0\x9f\x98\x80\n");
    free(out);
    accepted("\"\"");
    out = malloc(1);
    ck_assert_int_eq(aigw_json_unescape(&scan, &scan.root, out), 0);
    ck_assert_str_eq(out, "");
    out[0] = 'x';
    ck_assert_int_eq(aigw_json_unescape(&scan, &number, out), 0);
    ck_assert_str_eq(out, "");
    free(out);
}
END_TEST

Suite *suite_json_value(void)
{
    Suite *s = suite_create("json_value");
    TCase *c = tcase_create("json_value");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, objects_and_arrays_are_walked);
    tcase_add_test(c, a_name_need_not_be_asked_for);
    tcase_add_test(c, no_span_leads_out_of_the_text);
    tcase_add_test(c, strings_are_compared_unescaped);
    tcase_add_test(c, strings_are_unescaped);
    tcase_add_test(c, a_string_over_the_limit_is_not_given);
    tcase_add_test(c, strings_are_unescaped_in_place);
    tcase_add_test(c, integers_are_read);
    tcase_add_test(c, doubles_are_read);
    tcase_add_test(c, long_numbers_are_rounded_right);
    suite_add_tcase(s, c);
    return s;
}
