/* The fields of a simple JSON object, as a table says they must be: what is not in the table is refused.
 *
 * Thread: the owner of the request. Everything is in r->pool and does not point into the body.
 */
#ifndef AIGW_STREAM_FIELDS_H
#define AIGW_STREAM_FIELDS_H

#include "intake.h"

typedef enum {
    AIGW_FIELD_TEXT,   /* a string that says something: not empty, not only white space; min and max count characters */
    AIGW_FIELD_NAME,   /* a string without control characters; min and max count characters */
    AIGW_FIELD_INT,    /* an integer from min to max */
    AIGW_FIELD_NUMBER, /* a number from min to max */
    AIGW_FIELD_OBJECT  /* an object, taken as it is */
} aigw_field_e;

typedef struct aigw_field_t {
    const char *name;
    aigw_field_e kind;
    int required;    /* 0: it may be absent or null */
    double min, max; /* max 0 of a TEXT: the limit of the body is the only one */
    double fallback; /* INT, NUMBER: the value where it is absent */
} aigw_field_t;

typedef struct aigw_value_t {
    int present;
    const char *text; /* TEXT, NAME: unescaped, NUL-terminated; else NULL */
    apr_size_t len;
    apr_int64_t integer;            /* INT */
    double number;                  /* INT, NUMBER */
    const aigw_json_scan_t *object; /* OBJECT: a scan of its own, of a copy; else NULL */
} aigw_value_t;

/* Fills values[0, n), one for each of fields. NULL, or the first mistake. */
const aigw_error_t *aigw_fields_read(const aigw_intake_t *in, const aigw_field_t *fields, int n, aigw_value_t *values);

#endif
