/* aigw_fields and aigw_metadata, the bodies of /v1/chat and /api/vN/generate: the reader and a judge with jansson's tree agree about what is refused and why,
 * about each value, and the metadata comes back as it was.
 * The first byte of an input says which dialect. */
#include "fuzz.h"
#include "aigw_fields.h"
#include "aigw_metadata.h"

#include <jansson.h>

#define OWN "{\"model\":\"m\",\"usage\":{\"total_tokens\":null},\"finish_reason\":\"stop\",\"request_id\":\"r\"}"

/* ---- the judge ---- */

typedef enum { GOOD, BAD, EITHER } verdict_e;

/* Characters of valid UTF-8, and whether all of them are white space. */
static size_t characters(const char *s, size_t len, int *blank)
{
    static const unsigned spaces[] = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF};
    const uint8_t *at = (const uint8_t *)s, *end = at + len;
    size_t n = 0, i;

    for (*blank = 1; at < end; ++n) {
        int more = *at < 0x80 ? 0 : *at < 0xE0 ? 1 : *at < 0xF0 ? 2 : 3;
        unsigned c = more ? *at & (0x3Fu >> more) : *at;
        int space;

        for (++at; more > 0; --more) {
            c = c << 6 | (*at++ & 0x3Fu);
        }
        space = c == ' ' || (c >= 9 && c <= 13) || (c >= 0x2000 && c <= 0x200B);
        for (i = 0; i < sizeof(spaces) / sizeof(*spaces); ++i) {
            space |= c == spaces[i];
        }
        *blank &= space;
    }
    return n;
}

static verdict_e judge_string(const aigw_field_t *f, const json_t *json)
{
    const char *s = json_string_value(json);
    size_t len = json_string_length(json), n, i;
    int blank;

    if (!s) {
        return BAD;
    }
    n = characters(s, len, &blank);
    if ((f->kind == AIGW_FIELD_TEXT && blank) || (double)n < f->min || (f->max > 0 && (double)n > f->max)) {
        return BAD;
    }
    for (i = 0; i < len && f->kind == AIGW_FIELD_NAME; ++i) {
        if ((uint8_t)s[i] < 0x20 || s[i] == 0x7F) {
            return BAD;
        }
    }
    return GOOD;
}

/* Two members of one name, many members, long names: our own rules, which a tree does not show. */
static int is_plain_object(const aigw_json_scan_t *scan, const char *name, const json_t *json)
{
    aigw_json_span_t key, value;
    apr_size_t pos = 0, n = 0;

    while (aigw_json_next(scan, &aigw_json_member(scan, name)->value, &pos, &key, &value)) {
        if (++n > AIGW_JSON_MEMBERS_MAX || key.end - key.start > AIGW_JSON_NAME_MAX) {
            return 0;
        }
    }
    return n == json_object_size(json);
}

static verdict_e judge(const aigw_json_scan_t *scan, const aigw_field_t *f, const json_t *json)
{
    if (!json || (json_is_null(json) && !f->required)) {
        return f->required ? BAD : GOOD;
    }
    switch (f->kind) {
    case AIGW_FIELD_TEXT:
    case AIGW_FIELD_NAME:
        return judge_string(f, json);
    case AIGW_FIELD_INT:
        if (json_is_real(json)) { /* 1.0 is one, 1.00000000000000000001 is not: a double cannot tell */
            double d = json_real_value(json);
            return d >= f->min && d <= f->max ? EITHER : BAD;
        }
        return json_is_integer(json) && (double)json_integer_value(json) >= f->min && (double)json_integer_value(json) <= f->max ? GOOD
                                                                                                                                 : BAD;
    case AIGW_FIELD_NUMBER:
        return json_is_number(json) && json_number_value(json) >= f->min && json_number_value(json) <= f->max ? GOOD : BAD;
    case AIGW_FIELD_OBJECT:
        break;
    }
    return !json_is_object(json) ? BAD : is_plain_object(scan, f->name, json) ? GOOD : EITHER;
}

static int is_known(const aigw_field_t *fields, int n, const char *name)
{
    int i;

    for (i = 0; i < n && strcmp(fields[i].name, name); ++i) {
    }
    return i < n;
}

/* *first: the field that the first complaint must be about, NULL where an unknown one comes first. */
static verdict_e judge_all(const aigw_json_scan_t *scan, const aigw_field_t *fields, int n, json_t *json, const char **first)
{
    const char *name;
    json_t *value;
    int i;

    *first = NULL;
    json_object_foreach(json, name, value)
    {
        if (!is_known(fields, n, name)) {
            return BAD;
        }
    }
    for (i = 0; i < n; ++i) {
        verdict_e verdict = judge(scan, &fields[i], json_object_get(json, fields[i].name));

        if (verdict != GOOD) {
            *first = fields[i].name;
            return verdict;
        }
    }
    return GOOD;
}

/* ---- the values ---- */

static char *joined(const aigw_json_scan_t *metadata, apr_size_t *len)
{
    aigw_buffer_t b = {NULL, 0, 0};

    FUZZ_MUST(aigw_metadata_join(&b, metadata, OWN) == APR_SUCCESS);
    return aigw_buffer_take(&b, len);
}

static void compare_metadata(const aigw_json_scan_t *metadata, json_t *json)
{
    json_t *expected = json ? json_deep_copy(json) : json_object(), *own = json_loads(OWN, 0, NULL), *got;
    apr_size_t len, pos = 0, n = 0;
    char *text = joined(metadata, &len);
    aigw_json_scan_t scan;
    aigw_json_span_t value;

    got = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    FUZZ_MUST(got && expected && own && json_object_update(expected, own) == 0);
    FUZZ_MUST(json_equal(expected, got));
    FUZZ_MUST(aigw_json_check(&scan, text, len) == APR_SUCCESS || !strcmp(scan.why, "a string contains a NUL"));
    while (!scan.why && aigw_json_next(&scan, &scan.root, &pos, NULL, &value)) {
        ++n;
    }
    FUZZ_MUST(scan.why || n == json_object_size(got)); /* none stands twice */
    json_decref(got);
    json_decref(own);
    json_decref(expected);
    free(text);
}

static void compare(const aigw_field_t *f, const aigw_value_t *v, json_t *json)
{
    FUZZ_MUST(v->present == (json != NULL && !json_is_null(json)));
    if (!v->present) {
        FUZZ_MUST(!f->required && !v->text && !v->object && v->number == f->fallback && v->integer == (apr_int64_t)f->fallback);
        return;
    }
    switch (f->kind) {
    case AIGW_FIELD_TEXT:
    case AIGW_FIELD_NAME:
        FUZZ_MUST(v->text && v->len == json_string_length(json) && memcmp(v->text, json_string_value(json), v->len + 1) == 0);
        break;
    case AIGW_FIELD_INT:
        FUZZ_MUST((double)v->integer == json_number_value(json) && v->number == (double)v->integer);
        break;
    case AIGW_FIELD_NUMBER:
        FUZZ_MUST(v->number == json_number_value(json));
        break;
    case AIGW_FIELD_OBJECT:
        FUZZ_MUST(v->object && v->object->nmembers == (int)json_object_size(json));
        compare_metadata(v->object, json);
        break;
    }
}

static void check(const aigw_json_scan_t *scan, const aigw_field_t *fields, int n, json_t *json, apr_pool_t *p)
{
    aigw_value_t values[AIGW_ASK_FIELDS];
    aigw_fields_fault_t fault;
    const char *first;
    verdict_e verdict = judge_all(scan, fields, n, json, &first);
    int i, good = aigw_fields_read(scan, fields, n, p, values, &fault) == APR_SUCCESS;

    FUZZ_MUST(verdict == EITHER || good == (verdict == GOOD));
    if (good) {
        for (i = 0; i < n; ++i) {
            compare(&fields[i], &values[i], json_object_get(json, fields[i].name));
        }
        return;
    }
    FUZZ_MUST(fault.param && fault.message && *fault.message);
    FUZZ_MUST(!first || verdict == EITHER || !strcmp(first, fault.param));
    json = json_string(fault.message);
    FUZZ_MUST(json != NULL); /* UTF-8, whatever the client sent */
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int places[] = {AIGW_QUESTION_CHAT, AIGW_QUESTION_GENERATE, AIGW_QUESTION_GENERATE_METADATA};
    int dialect = size ? data[0] % 3 : 0;
    apr_pool_t *p = fuzz_pool();
    aigw_json_scan_t scan;
    json_t *json;
    char *text;

    data += size > 0;
    size -= size > 0;
    text = fuzz_copy(data, size);
    json = json_loadb(text, size, JSON_ALLOW_NUL, NULL); /* NULL also for a number out of range: then there is no judge */
    if (aigw_json_scan(&scan, p, text, size) == APR_SUCCESS && json_is_object(json)) {
        check(&scan, dialect ? aigw_question_generate : aigw_question_chat, places[dialect], json, p);
    }
    json_decref(json);
    free(text);
    apr_pool_destroy(p);
    return 0;
}
