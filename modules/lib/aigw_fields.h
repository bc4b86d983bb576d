/* The fields of a simple JSON object, as a table says they must be: what is not in the table is refused. And the tables of the simple dialects.
 *
 * Thread: any; no state. Everything is in the pool given and does not point into the body.
 */
#ifndef AIGW_FIELDS_H
#define AIGW_FIELDS_H

#include "aigw_json_scan.h"

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

typedef struct aigw_fields_fault_t {
    const char *param;   /* the field's name; of an unknown one what may be shown of it. In the pool */
    const char *message; /* for the client, a sentence; in the pool */
} aigw_fields_fault_t;

/* scan: an accepted text whose root is an object. Fills values[0, n), one for each of fields. APR_SUCCESS, or APR_EINVAL and the first mistake in *fault. */
apr_status_t aigw_fields_read(const aigw_json_scan_t *scan, const aigw_field_t *fields, int n, apr_pool_t *p, aigw_value_t *values,
                              aigw_fields_fault_t *fault);

/* The places of the fields in a dialect's table; a table may end after any of them but the first two. */
enum { AIGW_ASK_TEXT, AIGW_ASK_MODEL, AIGW_ASK_MAX_TOKENS, AIGW_ASK_TEMPERATURE, AIGW_ASK_METADATA, AIGW_ASK_FIELDS };

/* {message, model?} */
extern const aigw_field_t aigw_question_chat[];
#define AIGW_QUESTION_CHAT 2

/* {prompt, model?, max_tokens?, temperature?, metadata?}; version 1 and the stream know no metadata */
extern const aigw_field_t aigw_question_generate[];
#define AIGW_QUESTION_GENERATE          4
#define AIGW_QUESTION_GENERATE_METADATA 5

#endif
