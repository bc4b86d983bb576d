/* Scanner of a JSON text (RFC 8259) that builds nothing: it checks all of the syntax, UTF-8 included, and
 * says where the top-level object's members are, so that a 20 MB body can be judged and edited without a copy of it.
 *
 * Strict: no duplicate member names at the top level (two "model" members would let a client show one model to the
 * gateway and another to the upstream; names are compared after unescaping), no NUL in \u0000 of a name, depth at most
 * AIGW_JSON_DEPTH_MAX, at most AIGW_JSON_MEMBERS_MAX members at the top level with names of at most AIGW_JSON_NAME_MAX bytes
 * (so that comparing each with each is cheap), valid surrogate pairs, nothing after the text but white space.
 *
 * Thread: any; no state. Pool: members' unescaped names live in the pool given.
 */
#ifndef AIGW_JSON_SCAN_H
#define AIGW_JSON_SCAN_H

#include <apr_pools.h>

#define AIGW_JSON_DEPTH_MAX   128
#define AIGW_JSON_MEMBERS_MAX 256
#define AIGW_JSON_NAME_MAX    1024 /* of a top-level member, unescaped */

typedef enum {
    AIGW_JSON_OBJECT,
    AIGW_JSON_ARRAY,
    AIGW_JSON_STRING,
    AIGW_JSON_NUMBER,
    AIGW_JSON_TRUE,
    AIGW_JSON_FALSE,
    AIGW_JSON_NULL
} aigw_json_kind_e;

/* A value inside a text: [start, end) are offsets from the text's first byte; a string's include its quotes. */
typedef struct aigw_json_span_t {
    aigw_json_kind_e kind;
    apr_size_t start, end;
} aigw_json_span_t;

typedef struct aigw_json_member_t {
    const char *name;      /* unescaped, NUL-terminated, in the pool */
    apr_size_t name_start; /* offset of the name's opening quote */
    aigw_json_span_t value;
} aigw_json_member_t;

typedef struct aigw_json_scan_t {
    const char *text; /* the caller's; must outlive this */
    apr_size_t len;
    aigw_json_span_t root;
    aigw_json_member_t *members; /* of the root object, in order */
    int nmembers;
    /* when the scan failed: */
    const char *why;  /* a constant text in plain words: "a comma or a closing brace is missing" */
    apr_size_t at;    /* offset of the mistake */
    int line, column; /* the same, counted from 1; column in bytes */
} aigw_json_scan_t;

/* Scans text[0, len). APR_SUCCESS, or APR_EINVAL with why, at, line and column set.
 * The root may be of any kind; members are listed where it is an object. */
apr_status_t aigw_json_scan(aigw_json_scan_t *scan, apr_pool_t *p, const char *text, apr_size_t len);

/* The same for a text that is read and not edited: no members are listed, so the root object's are under the rules of nested ones (any number, names of
 * any length, of two of one name the last counts). Instead no string may hold a NUL (\u0000): what is read may be handed on as a C string. No memory. */
apr_status_t aigw_json_check(aigw_json_scan_t *scan, const char *text, apr_size_t len);

/* The member of that name, or NULL. Of a scan, not of a check. */
const aigw_json_member_t *aigw_json_member(const aigw_json_scan_t *scan, const char *name);

/* ---- reading values of an accepted text: aigw_json_value.c ----
 * A span that is not of a value of this text gives a wrong answer, but nothing outside of the text is read. */

/* Walks the members of an object or the elements of an array inside a text that the scan accepted.
 * *pos is 0 for the first call and opaque after it. For an object *name is the span of the name's string (quotes included; name may be
 * NULL), for an array it is left alone. Returns 1 and *value, or 0 at the end. O(bytes of the value) a call. */
int aigw_json_next(const aigw_json_scan_t *scan, const aigw_json_span_t *outer, apr_size_t *pos, aigw_json_span_t *name,
                   aigw_json_span_t *value);

/* 1 if the string at span (quotes included) unescapes to exactly the NUL-terminated s. No allocation. */
int aigw_json_string_is(const aigw_json_scan_t *scan, const aigw_json_span_t *span, const char *s);

/* The unescaped string, NUL-terminated, in p; *len (may be NULL) its bytes: it may hold NULs. NULL if the span is not a string, or one of
 * more than max bytes (max > 0). */
char *aigw_json_string(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_pool_t *p, apr_size_t max, apr_size_t *len);

/* The same into memory of the caller's: out has room for end - start - 1 bytes. Returns the string's bytes, without the NUL behind them; 0 and an empty string if the
 * span is not a string. */
apr_size_t aigw_json_unescape(const aigw_json_scan_t *scan, const aigw_json_span_t *span, char *out);

/* Numbers: 1 and *out if the span is a number in range, else 0. For int it must leave no fraction: 1.0, 1e2 and 100e-2 are integers. */
int aigw_json_int(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_int64_t *out);
int aigw_json_double(const aigw_json_scan_t *scan, const aigw_json_span_t *span, double *out);

#endif
