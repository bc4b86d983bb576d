#include "aigw_fields.h"
#include "aigw_text.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <string.h>

#define SHOWN_FIELD 64 /* characters of an unknown field's name in a message */

const aigw_field_t aigw_question_chat[] = {
    {"message", AIGW_FIELD_TEXT, 1, 1, 0, 0},
    {"model", AIGW_FIELD_NAME, 0, 1, 256, 0},
};

const aigw_field_t aigw_question_generate[] = {
    {"prompt", AIGW_FIELD_TEXT, 1, 1, 4000, 0},       {"model", AIGW_FIELD_NAME, 0, 1, 256, 0},
    {"max_tokens", AIGW_FIELD_INT, 0, 1, 4096, 1024}, {"temperature", AIGW_FIELD_NUMBER, 0, 0, 2, 0.7},
    {"metadata", AIGW_FIELD_OBJECT, 0, 0, 0, 0},
};

typedef struct reader_t {
    const aigw_json_scan_t *scan;
    apr_pool_t *p;
    aigw_fields_fault_t *fault;
} reader_t;

/* Always 0. */
__attribute__((format(printf, 3, 4))) static int fault(const reader_t *r, const char *param, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    r->fault->message = apr_pvsprintf(r->p, fmt, args);
    va_end(args);
    r->fault->param = param;
    return 0;
}

/* "a string of 1 to 4000 characters": what a field must be, for every message about it. */
static const char *expected(const reader_t *r, const aigw_field_t *f)
{
    switch (f->kind) {
    case AIGW_FIELD_TEXT:
    case AIGW_FIELD_NAME:
        return f->max > 0 ? apr_psprintf(r->p, "a string of %.0f to %.0f characters", f->min, f->max) : "a string that is not empty";
    case AIGW_FIELD_INT:
        return apr_psprintf(r->p, "an integer from %.0f to %.0f", f->min, f->max);
    case AIGW_FIELD_NUMBER:
        return apr_psprintf(r->p, "a number from %g to %g", f->min, f->max);
    case AIGW_FIELD_OBJECT:
        break;
    }
    return "an object";
}

static int must_be(const reader_t *r, const aigw_field_t *f)
{
    return fault(r, f->name, "%s must be %s.", f->name, expected(r, f));
}

static int read_string(const reader_t *r, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    apr_size_t characters;

    if (span->kind != AIGW_JSON_STRING || !(v->text = aigw_json_string(r->scan, span, r->p, 0, &v->len))) {
        return must_be(r, f);
    }
    if (f->kind == AIGW_FIELD_TEXT && aigw_text_blank(v->text, v->len)) {
        return fault(r, f->name, "%s must not be empty or white space only.", f->name);
    }
    characters = aigw_text_length(v->text, v->len);
    if ((double)characters < f->min || (f->max > 0 && (double)characters > f->max)) {
        return fault(r, f->name, "%s must be %s; this one has %" APR_SIZE_T_FMT ".", f->name, expected(r, f), characters);
    }
    if (f->kind == AIGW_FIELD_NAME) {
        apr_size_t i;

        for (i = 0; i < v->len; i++) {
            if ((unsigned char)v->text[i] < 0x20 || v->text[i] == 0x7F) {
                return fault(r, f->name, "%s must not have control characters in it.", f->name);
            }
        }
    }
    return 1;
}

static int read_number(const reader_t *r, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    int is = f->kind == AIGW_FIELD_INT ? aigw_json_int(r->scan, span, &v->integer) : aigw_json_double(r->scan, span, &v->number);

    if (is && f->kind == AIGW_FIELD_INT) {
        v->number = (double)v->integer;
    }
    return (is && v->number >= f->min && v->number <= f->max) || must_be(r, f);
}

/* The object outlives the body, so it is copied; scanning it again finds its members and refuses those that are there twice. */
static int read_object(const reader_t *r, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    apr_size_t len = span->end - span->start;
    aigw_json_scan_t *scan = apr_pcalloc(r->p, sizeof *scan);

    if (span->kind != AIGW_JSON_OBJECT) {
        return must_be(r, f);
    }
    if (aigw_json_scan(scan, r->p, apr_pstrmemdup(r->p, r->scan->text + span->start, len), len) != APR_SUCCESS) {
        return fault(r, f->name, "%s cannot be taken: %s.", f->name, scan->why);
    }
    v->object = scan;
    return 1;
}

static int read_value(const reader_t *r, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    switch (f->kind) {
    case AIGW_FIELD_TEXT:
    case AIGW_FIELD_NAME:
        return read_string(r, f, span, v);
    case AIGW_FIELD_INT:
    case AIGW_FIELD_NUMBER:
        return read_number(r, f, span, v);
    case AIGW_FIELD_OBJECT:
        break;
    }
    return read_object(r, f, span, v);
}

/* A field that nobody knows is a mistake of the client's that would go unnoticed: "max_token" would cost real money. */
static int check_unknown(const reader_t *r, const aigw_field_t *fields, int n)
{
    const char *list = "", *name;
    int i, k;

    for (i = 0; i < r->scan->nmembers; i++) {
        for (k = 0; k < n && strcmp(r->scan->members[i].name, fields[k].name); k++) {
        }
        if (k == n) {
            break;
        }
    }
    if (i == r->scan->nmembers) {
        return 1;
    }
    for (k = 0; k < n; k++) {
        list = apr_pstrcat(r->p, list, k ? ", " : "", fields[k].name, NULL);
    }
    name = aigw_text_shown(r->p, r->scan->members[i].name, SHOWN_FIELD);
    return fault(r, name, "The field '%s' is not known here; the fields are: %s.", name, list);
}

/* One field; member is NULL where it is absent. */
static int read_field(const reader_t *r, const aigw_field_t *f, const aigw_json_member_t *member, aigw_value_t *v)
{
    if (member && (f->required || member->value.kind != AIGW_JSON_NULL)) {
        v->present = 1;
        return read_value(r, f, &member->value, v);
    }
    if (f->required) {
        return fault(r, f->name, "%s is required: it must be %s.", f->name, expected(r, f));
    }
    v->number = f->fallback;
    v->integer = (apr_int64_t)f->fallback;
    return 1;
}

apr_status_t aigw_fields_read(const aigw_json_scan_t *scan, const aigw_field_t *fields, int n, apr_pool_t *p, aigw_value_t *values,
                              aigw_fields_fault_t *f)
{
    reader_t r = {scan, p, NULL};
    int i, good;

    memset(f, 0, sizeof(*f));
    r.fault = f;
    memset(values, 0, (apr_size_t)n * sizeof(*values));
    good = check_unknown(&r, fields, n);
    for (i = 0; i < n && good; i++) {
        good = read_field(&r, &fields[i], aigw_json_member(scan, fields[i].name), &values[i]);
    }
    return good ? APR_SUCCESS : APR_EINVAL;
}
