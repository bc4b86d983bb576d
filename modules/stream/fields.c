#include "fields.h"
#include "text.h"

#include <apr_strings.h>

#define SHOWN_FIELD 64 /* characters of an unknown field's name in a message */

/* "a string of 1 to 4000 characters": what a field must be, for every message about it. */
static const char *expected(request_rec *r, const aigw_field_t *f)
{
    switch (f->kind) {
    case AIGW_FIELD_TEXT:
    case AIGW_FIELD_NAME:
        return f->max > 0 ? apr_psprintf(r->pool, "a string of %.0f to %.0f characters", f->min, f->max) : "a string that is not empty";
    case AIGW_FIELD_INT:
        return apr_psprintf(r->pool, "an integer from %.0f to %.0f", f->min, f->max);
    case AIGW_FIELD_NUMBER:
        return apr_psprintf(r->pool, "a number from %g to %g", f->min, f->max);
    case AIGW_FIELD_OBJECT:
        break;
    }
    return "an object";
}

static const aigw_error_t *must_be(request_rec *r, const aigw_field_t *f)
{
    return aigw_intake_invalid(r, f->name, "%s must be %s.", f->name, expected(r, f));
}

static const aigw_error_t *read_string(const aigw_intake_t *in, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    request_rec *r = in->r;
    apr_size_t characters;

    if (span->kind != AIGW_JSON_STRING || !(v->text = aigw_json_string(&in->scan, span, r->pool, 0, &v->len))) {
        return must_be(r, f);
    }
    if (f->kind == AIGW_FIELD_TEXT && aigw_text_blank(v->text, v->len)) {
        return aigw_intake_invalid(r, f->name, "%s must not be empty or white space only.", f->name);
    }
    characters = aigw_text_length(v->text, v->len);
    if ((double)characters < f->min || (f->max > 0 && (double)characters > f->max)) {
        return aigw_intake_invalid(r, f->name, "%s must be %s; this one has %" APR_SIZE_T_FMT ".", f->name, expected(r, f), characters);
    }
    if (f->kind == AIGW_FIELD_NAME) {
        apr_size_t i;

        for (i = 0; i < v->len; i++) {
            if ((unsigned char)v->text[i] < 0x20 || v->text[i] == 0x7F) {
                return aigw_intake_invalid(r, f->name, "%s must not have control characters in it.", f->name);
            }
        }
    }
    return NULL;
}

static const aigw_error_t *read_number(const aigw_intake_t *in, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    int is = f->kind == AIGW_FIELD_INT ? aigw_json_int(&in->scan, span, &v->integer) : aigw_json_double(&in->scan, span, &v->number);

    if (is && f->kind == AIGW_FIELD_INT) {
        v->number = (double)v->integer;
    }
    return is && v->number >= f->min && v->number <= f->max ? NULL : must_be(in->r, f);
}

/* The object outlives the body, so it is copied; scanning it again finds its members and refuses those that are there twice. */
static const aigw_error_t *read_object(const aigw_intake_t *in, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    request_rec *r = in->r;
    apr_size_t len = span->end - span->start;
    aigw_json_scan_t *scan = apr_pcalloc(r->pool, sizeof *scan);

    if (span->kind != AIGW_JSON_OBJECT) {
        return must_be(r, f);
    }
    if (aigw_json_scan(scan, r->pool, apr_pstrmemdup(r->pool, in->data + span->start, len), len) != APR_SUCCESS) {
        return aigw_intake_invalid(r, f->name, "%s cannot be taken: %s.", f->name, scan->why);
    }
    v->object = scan;
    return NULL;
}

static const aigw_error_t *read_value(const aigw_intake_t *in, const aigw_field_t *f, const aigw_json_span_t *span, aigw_value_t *v)
{
    switch (f->kind) {
    case AIGW_FIELD_TEXT:
    case AIGW_FIELD_NAME:
        return read_string(in, f, span, v);
    case AIGW_FIELD_INT:
    case AIGW_FIELD_NUMBER:
        return read_number(in, f, span, v);
    case AIGW_FIELD_OBJECT:
        break;
    }
    return read_object(in, f, span, v);
}

/* A field that nobody knows is a mistake of the client's that would go unnoticed: "max_token" would cost real money. */
static const aigw_error_t *check_unknown(const aigw_intake_t *in, const aigw_field_t *fields, int n)
{
    request_rec *r = in->r;
    const char *list = "", *name;
    int i, k;

    for (i = 0; i < in->scan.nmembers; i++) {
        for (k = 0; k < n && strcmp(in->scan.members[i].name, fields[k].name); k++) {
        }
        if (k == n) {
            break;
        }
    }
    if (i == in->scan.nmembers) {
        return NULL;
    }
    for (k = 0; k < n; k++) {
        list = apr_pstrcat(r->pool, list, k ? ", " : "", fields[k].name, NULL);
    }
    name = aigw_text_shown(r->pool, in->scan.members[i].name, SHOWN_FIELD);
    return aigw_intake_invalid(r, name, "The field '%s' is not known here; the fields are: %s.", name, list);
}

const aigw_error_t *aigw_fields_read(const aigw_intake_t *in, const aigw_field_t *fields, int n, aigw_value_t *values)
{
    const aigw_error_t *error = check_unknown(in, fields, n);
    int i;

    memset(values, 0, (apr_size_t)n * sizeof *values);
    for (i = 0; i < n && !error; i++) {
        const aigw_json_member_t *member = aigw_json_member(&in->scan, fields[i].name);

        if (member && (fields[i].required || member->value.kind != AIGW_JSON_NULL)) {
            error = read_value(in, &fields[i], &member->value, &values[i]);
            values[i].present = 1;
        }
        else if (fields[i].required) {
            error =
                aigw_intake_invalid(in->r, fields[i].name, "%s is required: it must be %s.", fields[i].name, expected(in->r, &fields[i]));
        }
        else {
            values[i].number = fields[i].fallback;
            values[i].integer = (apr_int64_t)fields[i].fallback;
        }
    }
    return error;
}
