/* Scanner of a JSON text; see aigw_json_scan.h.
 * Reading values of an accepted text is in aigw_json_value.c.
 *
 * No recursion: what is open is a stack of AIGW_JSON_DEPTH_MAX flags.
 */
#include "aigw_json_scan.h"
#include "aigw_json_escape.h"

#include <limits.h>
#include <string.h>

typedef struct scanner_t {
    aigw_json_scan_t *out;
    apr_pool_t *pool;
    const unsigned char *at, *end;
    int list; /* aigw_json_scan(): the root's members are listed, and judged by its rules */
    int depth;
    unsigned char is_object[AIGW_JSON_DEPTH_MAX]; /* of each open container, the outermost first */
    int room;                                     /* members that fit in out->members */
    apr_size_t name_len[AIGW_JSON_MEMBERS_MAX];
} scanner_t;

static int fail(scanner_t *s, const char *why)
{
    s->out->why = why;
    return 0;
}

static apr_size_t offset(const scanner_t *s)
{
    return s->out->len - (apr_size_t)(s->end - s->at);
}

static int is_ws(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static void skip_ws(scanner_t *s)
{
    while (s->at < s->end && is_ws(*s->at)) {
        ++s->at;
    }
}

/* ---- strings ---- */

#define EACH(byte) (0x0101010101010101ULL * (byte))

/* Not 0 if one of eight bytes is a quote, a backslash, a control character or not ASCII: none of them is where no subtraction borrows
 * and no top bit is set. */
static apr_uint64_t special(const unsigned char *at)
{
    apr_uint64_t w;

    memcpy(&w, at, sizeof(w));
    return (w | (w - EACH(0x20)) | ((w ^ EACH('"')) - EACH(1)) | ((w ^ EACH('\\')) - EACH(1))) & EACH(0x80);
}

/* Skips what is plain inside a string: this is where a body of images spends its time. */
static const unsigned char *skip_plain(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 32 && !(special(at) | special(at + 8) | special(at + 16) | special(at + 24))) {
        at += 32;
    }
    while (end - at >= 8) {
        apr_uint64_t found = special(at);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (found) {
            return at + __builtin_ctzll(found) / 8; /* the first is certain: only bytes behind it can have been borrowed from */
        }
#else
        if (found) {
            break;
        }
#endif
        at += 8;
    }
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\') {
        ++at;
    }
    return at;
}

static int is_tail(const unsigned char *at, int n)
{
    int i;

    for (i = 0; i < n; ++i) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return 1;
}

/* The bytes of the character that begins with a byte above 0x7f, 0 if it is not UTF-8 (table 3-7 of the Unicode standard). */
static int utf8_len(const unsigned char *at, const unsigned char *end)
{
    unsigned char c = at[0];
    int n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

    if (n == 0 || end - at < n || !is_tail(at + 1, n - 1)) {
        return 0;
    }
    if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xf0 && at[1] < 0x90)) { /* a shorter form exists */
        return 0;
    }
    if ((c == 0xed && at[1] > 0x9f) || (c == 0xf4 && at[1] > 0x8f)) { /* a surrogate; above U+10FFFF */
        return 0;
    }
    return n;
}

/* The string at the opening quote, to behind the closing one. */
static int scan_string(scanner_t *s, int is_name)
{
    ++s->at;
    for (;;) {
        s->at = skip_plain(s->at, s->end);
        if (s->at == s->end) {
            return fail(s, "a string is not closed");
        }
        if (*s->at == '"') {
            ++s->at;
            return 1;
        }
        if (*s->at == '\\') {
            long code;
            int n = aigw_json_escape(s->at, s->end, &code);

            if (n == 0) {
                return fail(s, "an escape in a string is not valid");
            }
            if (code == 0 && (is_name || !s->list)) {
                return fail(s, is_name ? "a member name contains a NUL" : "a string contains a NUL");
            }
            s->at += n;
        }
        else if (*s->at < 0x20) {
            return fail(s, "a control character in a string is not escaped");
        }
        while (s->at < s->end && *s->at >= 0x80) {
            int n = utf8_len(s->at, s->end);

            if (n == 0) {
                return fail(s, "a string is not valid UTF-8");
            }
            s->at += n;
        }
    }
}

/* ---- values ---- */

static int scan_digits(scanner_t *s)
{
    if (s->at == s->end || !is_digit(*s->at)) {
        return fail(s, "a digit is missing in a number");
    }
    while (s->at < s->end && is_digit(*s->at)) {
        ++s->at;
    }
    return 1;
}

static int scan_number(scanner_t *s)
{
    if (*s->at == '-') {
        ++s->at;
    }
    if (s->at < s->end && *s->at == '0') {
        ++s->at;
        if (s->at < s->end && is_digit(*s->at)) {
            return fail(s, "a number begins with a zero");
        }
    }
    else if (!scan_digits(s)) {
        return 0;
    }
    if (s->at < s->end && *s->at == '.') {
        ++s->at;
        if (!scan_digits(s)) {
            return 0;
        }
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        ++s->at;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) {
            ++s->at;
        }
        return scan_digits(s);
    }
    return 1;
}

static int scan_word(scanner_t *s, const char *word, apr_size_t len)
{
    if ((apr_size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0) {
        return fail(s, "this is not a JSON value");
    }
    s->at += len;
    return 1;
}

static aigw_json_kind_e kind_of(unsigned char c)
{
    switch (c) {
    case '{':
        return AIGW_JSON_OBJECT;
    case '[':
        return AIGW_JSON_ARRAY;
    case '"':
        return AIGW_JSON_STRING;
    case 't':
        return AIGW_JSON_TRUE;
    case 'f':
        return AIGW_JSON_FALSE;
    case 'n':
        return AIGW_JSON_NULL;
    default:
        return AIGW_JSON_NUMBER;
    }
}

/* ---- the text ---- */

/* 1 where what stands here is a member of the root object, and these are listed. */
static int at_top(const scanner_t *s)
{
    return s->list && s->depth == 1 && s->is_object[0];
}

/* Lists the member whose name is the string [start, at). Its value is filled in as it is met. */
static int add_member(scanner_t *s, const unsigned char *start)
{
    aigw_json_scan_t *out = s->out;
    aigw_json_span_t span = {AIGW_JSON_STRING, offset(s) - (apr_size_t)(s->at - start), offset(s)};
    aigw_json_member_t *m;
    apr_size_t len;
    int i;

    s->at = start; /* where the mistake is, if there is one */
    if (out->nmembers == AIGW_JSON_MEMBERS_MAX) {
        return fail(s, "the object has too many members");
    }
    if (out->nmembers == s->room) {
        s->room = s->room ? s->room * 2 : 8;
        m = apr_palloc(s->pool, (apr_size_t)s->room * sizeof(*m));
        if (out->nmembers) {
            memcpy(m, out->members, (apr_size_t)out->nmembers * sizeof(*m));
        }
        out->members = m;
    }
    m = &out->members[out->nmembers];
    memset(m, 0, sizeof(*m));
    m->name_start = span.start;
    m->name = aigw_json_string(out, &span, s->pool, AIGW_JSON_NAME_MAX, &len);
    if (!m->name) {
        return fail(s, "a member name is too long");
    }
    for (i = 0; i < out->nmembers; ++i) {
        if (s->name_len[i] == len && memcmp(out->members[i].name, m->name, len) == 0) {
            return fail(s, "a member stands twice in the object");
        }
    }
    s->name_len[out->nmembers++] = len;
    s->at = start + (span.end - span.start);
    return 1;
}

/* A member's name and its colon; the value must follow. */
static int scan_name(scanner_t *s)
{
    const unsigned char *start;

    skip_ws(s);
    start = s->at;
    if (s->at == s->end || *s->at != '"') {
        return fail(s, "a member name in quotes is missing");
    }
    if (!scan_string(s, 1) || (at_top(s) && !add_member(s, start))) {
        return 0;
    }
    skip_ws(s);
    if (s->at == s->end || *s->at != ':') {
        return fail(s, "a colon after a member name is missing");
    }
    ++s->at;
    return 1;
}

/* Opens the container at its bracket: 1 and *complete set if it is empty and closed already. */
static int open_container(scanner_t *s, int *complete)
{
    int is_object = *s->at == '{';

    if (s->depth == AIGW_JSON_DEPTH_MAX) {
        return fail(s, "the text is nested too deeply");
    }
    s->is_object[s->depth++] = (unsigned char)is_object;
    ++s->at;
    skip_ws(s);
    *complete = s->at < s->end && *s->at == (is_object ? '}' : ']');
    if (*complete) {
        ++s->at;
        --s->depth;
        return 1;
    }
    return !is_object || scan_name(s);
}

/* A scalar, whole, or the beginning of a container (then *complete is 0 and another value must follow). */
static int begin_value(scanner_t *s, int *complete)
{
    aigw_json_span_t *span = NULL;
    unsigned char c;

    *complete = 1;
    skip_ws(s);
    if (s->at == s->end) {
        return fail(s, "a value is missing at the end");
    }
    c = *s->at;
    if (s->depth == 0) {
        span = &s->out->root;
    }
    else if (at_top(s)) {
        span = &s->out->members[s->out->nmembers - 1].value;
    }
    if (span) {
        span->kind = kind_of(c);
        span->start = offset(s);
    }
    switch (c) {
    case '{':
    case '[':
        return open_container(s, complete);
    case '"':
        return scan_string(s, 0);
    case 't':
        return scan_word(s, "true", 4);
    case 'f':
        return scan_word(s, "false", 5);
    case 'n':
        return scan_word(s, "null", 4);
    default:
        if (c == '-' || is_digit(c)) {
            return scan_number(s);
        }
        return fail(s, memchr(",:]}", c, 4) ? "a value is missing" : "this is not a JSON value");
    }
}

/* Behind a value inside a container: *complete if the container ends here and so is a complete value, else another value must follow. */
static int continue_container(scanner_t *s, int *complete)
{
    int is_object = s->is_object[s->depth - 1];

    if (at_top(s)) {
        s->out->members[s->out->nmembers - 1].value.end = offset(s);
    }
    *complete = 0;
    skip_ws(s);
    if (s->at < s->end && *s->at == ',') {
        ++s->at;
        return !is_object || scan_name(s);
    }
    if (s->at == s->end || *s->at != (is_object ? '}' : ']')) {
        return fail(s, is_object ? "a comma or a closing brace is missing" : "a comma or a closing bracket is missing");
    }
    ++s->at;
    --s->depth;
    *complete = 1;
    return 1;
}

static int scan_text(scanner_t *s)
{
    for (;;) {
        int complete;

        if (!begin_value(s, &complete)) {
            return 0;
        }
        while (complete && s->depth) {
            if (!continue_container(s, &complete)) {
                return 0;
            }
        }
        if (complete) {
            break;
        }
    }
    s->out->root.end = offset(s);
    skip_ws(s);
    return s->at == s->end || fail(s, "something follows the end of the JSON text");
}

static void find_line(aigw_json_scan_t *scan)
{
    const char *line = scan->text, *at = scan->text + scan->at, *lf;
    apr_size_t column;

    scan->line = 1;
    while (line < at && scan->line < INT_MAX && (lf = memchr(line, '\n', (apr_size_t)(at - line))) != NULL) {
        ++scan->line;
        line = lf + 1;
    }
    column = (apr_size_t)(at - line);
    scan->column = column < INT_MAX ? (int)column + 1 : INT_MAX;
}

/* p: where the members are listed; NULL: nowhere. */
static apr_status_t scan_whole(aigw_json_scan_t *scan, apr_pool_t *p, const char *text, apr_size_t len)
{
    scanner_t s;

    memset(scan, 0, sizeof(*scan));
    scan->text = text ? text : "";
    scan->len = text ? len : 0;
    s.out = scan;
    s.pool = p;
    s.list = p != NULL;
    s.at = (const unsigned char *)scan->text;
    s.end = s.at + scan->len;
    s.depth = 0;
    s.room = 0;
    if (scan_text(&s)) {
        return APR_SUCCESS;
    }
    scan->at = offset(&s);
    find_line(scan);
    return APR_EINVAL;
}

apr_status_t aigw_json_scan(aigw_json_scan_t *scan, apr_pool_t *p, const char *text, apr_size_t len)
{
    return scan_whole(scan, p, text, len);
}

apr_status_t aigw_json_check(aigw_json_scan_t *scan, const char *text, apr_size_t len)
{
    return scan_whole(scan, NULL, text, len);
}

const aigw_json_member_t *aigw_json_member(const aigw_json_scan_t *scan, const char *name)
{
    int i;

    for (i = 0; i < scan->nmembers; ++i) {
        if (strcmp(scan->members[i].name, name) == 0) {
            return &scan->members[i];
        }
    }
    return NULL;
}
