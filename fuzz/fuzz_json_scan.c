/* aigw_json_scan and aigw_json_value: what the scanner accepts jansson accepts, they agree about every value, what the scanner
 * refuses jansson refuses unless it is one of our limits, and a check is a scan but for its own rules. */
#include "fuzz.h"
#include "aigw_json_scan.h"

#include <jansson.h>

/* What the header's strictness and limits refuse and jansson does not. */
static int is_our_own_rule(const char *why)
{
    return !strcmp(why, "a member stands twice in the object") || !strcmp(why, "the object has too many members") ||
           !strcmp(why, "a member name is too long") || !strcmp(why, "the text is nested too deeply");
}

static void compare_string(const aigw_json_scan_t *scan, const aigw_json_span_t *span, const json_t *json, apr_pool_t *p)
{
    apr_size_t len, n = json_string_length(json);
    char *s = aigw_json_string(scan, span, p, 0, &len);

    FUZZ_MUST(s && len == n && memcmp(s, json_string_value(json), n) == 0);
    FUZZ_MUST(n == 0 || aigw_json_string(scan, span, p, n, NULL) != NULL);
    FUZZ_MUST(n < 2 || aigw_json_string(scan, span, p, n - 1, NULL) == NULL);
    FUZZ_MUST(aigw_json_string_is(scan, span, s) == (strlen(s) == n));
}

static void compare_number(const aigw_json_scan_t *scan, const aigw_json_span_t *span, const json_t *json)
{
    apr_int64_t i = 0;
    double d = 0;
    int is_int = aigw_json_int(scan, span, &i);

    FUZZ_MUST(aigw_json_double(scan, span, &d) == 1);
    if (json_is_integer(json)) {
        FUZZ_MUST(is_int && i == json_integer_value(json) && d == (double)i);
    }
    else {
        FUZZ_MUST(d == json_real_value(json));
        FUZZ_MUST(!is_int || d == (double)i);
    }
}

static void compare(const aigw_json_scan_t *scan, const aigw_json_span_t *span, json_t *json, apr_pool_t *p);

/* jansson keeps the last of two members of one name: nested ones are compared only where they stand once. */
static void compare_children(const aigw_json_scan_t *scan, const aigw_json_span_t *span, json_t *json, apr_pool_t *p)
{
    aigw_json_span_t name, value;
    apr_size_t pos = 0, n = 0, before = span->start;

    while (aigw_json_next(scan, span, &pos, &name, &value)) {
        FUZZ_MUST(value.start > before && value.end > value.start && value.end < span->end);
        before = value.end;
        ++n;
        if (json_is_array(json)) {
            compare(scan, &value, json_array_get(json, n - 1), p);
        }
    }
    FUZZ_MUST(json_is_array(json) ? n == json_array_size(json) : n >= json_object_size(json));
    if (json_is_object(json) && n == json_object_size(json)) {
        for (pos = 0; aigw_json_next(scan, span, &pos, &name, &value);) {
            compare(scan, &value, json_object_get(json, aigw_json_string(scan, &name, p, 0, NULL)), p);
        }
    }
}

static void compare(const aigw_json_scan_t *scan, const aigw_json_span_t *span, json_t *json, apr_pool_t *p)
{
    FUZZ_MUST(json != NULL);
    switch (span->kind) {
    case AIGW_JSON_STRING:
        FUZZ_MUST(json_is_string(json));
        compare_string(scan, span, json, p);
        break;
    case AIGW_JSON_NUMBER:
        FUZZ_MUST(json_is_number(json));
        compare_number(scan, span, json);
        break;
    case AIGW_JSON_OBJECT:
    case AIGW_JSON_ARRAY:
        FUZZ_MUST(span->kind == AIGW_JSON_OBJECT ? json_is_object(json) : json_is_array(json));
        compare_children(scan, span, json, p);
        break;
    default:
        FUZZ_MUST(span->kind == AIGW_JSON_TRUE    ? json_is_true(json)
                  : span->kind == AIGW_JSON_FALSE ? json_is_false(json)
                                                  : json_is_null(json));
    }
}

static void compare_members(const aigw_json_scan_t *scan, json_t *json, apr_pool_t *p)
{
    int i;

    FUZZ_MUST(scan->nmembers == (scan->root.kind == AIGW_JSON_OBJECT ? (int)json_object_size(json) : 0));
    for (i = 0; i < scan->nmembers; ++i) {
        const aigw_json_member_t *m = &scan->members[i];

        FUZZ_MUST(aigw_json_member(scan, m->name) == m && scan->text[m->name_start] == '"' && m->name_start < m->value.start);
        compare(scan, &m->value, json_object_get(json, m->name), p);
    }
}

/* A check accepts what the scan does, but for NULs in strings, and what it refuses for its rules of the top level. */
static void compare_check(const aigw_json_scan_t *scan, const char *text, size_t size)
{
    aigw_json_scan_t check;
    json_error_t error;

    if (aigw_json_check(&check, text, size) == APR_SUCCESS) {
        json_t *json = json_loadb(text, size, JSON_DECODE_ANY, &error);

        FUZZ_MUST(json || json_error_code(&error) == json_error_numeric_overflow); /* so there is no NUL in a string */
        json_decref(json);
        FUZZ_MUST(!scan->why || (is_our_own_rule(scan->why) && strcmp(scan->why, "the text is nested too deeply") != 0));
        FUZZ_MUST(scan->why || (check.root.kind == scan->root.kind && check.root.start == scan->root.start &&
                                check.root.end == scan->root.end && check.nmembers == 0));
    }
    else {
        FUZZ_MUST(check.why && (scan->why || !strcmp(check.why, "a string contains a NUL")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size);
    json_error_t error;
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    aigw_json_scan_t scan;

    if (aigw_json_scan(&scan, p, text, size) == APR_SUCCESS) {
        FUZZ_MUST(!scan.why && scan.root.end <= size && scan.root.start < scan.root.end);
        /* a number's range is not the scanner's business */
        FUZZ_MUST(json || json_error_code(&error) == json_error_numeric_overflow);
        if (json) {
            compare(&scan, &scan.root, json, p);
            compare_members(&scan, json, p);
        }
    }
    else {
        FUZZ_MUST(scan.why && scan.at <= size && scan.line >= 1 && scan.column >= 1);
        /* jansson (2.14) loses a NUL byte that it puts back after a number or a word: it reads "9\0" as 9 */
        FUZZ_MUST(!json || is_our_own_rule(scan.why) || (scan.at < size && text[scan.at] == '\0'));
    }
    compare_check(&scan, text, size);
    json_decref(json);
    free(text);
    apr_pool_destroy(p);
    return 0;
}
