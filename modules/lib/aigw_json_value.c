/* Reading values of a JSON text that the scanner accepted; see aigw_json_scan.h.
 *
 * The syntax is known to be right, so that this may jump from quote to quote.
 */
#include "aigw_json_scan.h"
#include "aigw_json_escape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const unsigned char *bytes_p;

static int in_text(const aigw_json_scan_t *scan, const aigw_json_span_t *span)
{
    return span->start < span->end && span->end <= scan->len;
}

/* ---- walking ---- */

static aigw_json_kind_e kind_of(char c)
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

/* From an opening quote to behind the closing one. A quote is escaped if an odd number of backslashes stands before it. */
static const char *after_string(const char *at, const char *end)
{
    const char *first = ++at;

    while (at < end && (at = memchr(at, '"', (apr_size_t)(end - at))) != NULL) {
        const char *before = at;

        while (before > first && before[-1] == '\\') {
            --before;
        }
        ++at;
        if ((at - 1 - before) % 2 == 0) {
            return at;
        }
        first = at; /* backslashes are counted once */
    }
    return end;
}

/* From an opening bracket to behind its closing one. That a bracket is closed by its like is known. */
static const char *after_container(const char *at, const char *end)
{
    int depth = 0;

    while (at < end) {
        switch (*at) {
        case '"':
            at = after_string(at, end);
            continue;
        case '{':
        case '[':
            ++depth;
            break;
        case '}':
        case ']':
            if (--depth == 0) {
                return at + 1;
            }
            break;
        default:
            break;
        }
        ++at;
    }
    return end;
}

static int is_between(char c)
{
    return c == ',' || c == ':' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Behind the value, and always farther than `at`, so that a walk ends. */
static const char *after_value(const char *at, const char *end)
{
    switch (*at) {
    case '"':
        return after_string(at, end);
    case '{':
    case '[':
        return after_container(at, end);
    default:
        for (++at; at < end && !is_between(*at) && *at != '}' && *at != ']'; ++at) {
        }
        return at;
    }
}

static const char *skip_between(const char *at, const char *end)
{
    while (at < end && is_between(*at)) {
        ++at;
    }
    return at;
}

/* The value at *at; *at moves behind it. */
static void take_value(const aigw_json_scan_t *scan, const char **at, const char *end, aigw_json_span_t *span)
{
    span->kind = kind_of(**at);
    span->start = (apr_size_t)(*at - scan->text);
    *at = after_value(*at, end);
    span->end = (apr_size_t)(*at - scan->text);
}

int aigw_json_next(const aigw_json_scan_t *scan, const aigw_json_span_t *outer, apr_size_t *pos, aigw_json_span_t *name,
                   aigw_json_span_t *value)
{
    const char *at, *end;
    aigw_json_span_t unwanted;

    if ((outer->kind != AIGW_JSON_OBJECT && outer->kind != AIGW_JSON_ARRAY) || !in_text(scan, outer) || *pos >= outer->end) {
        return 0;
    }
    end = scan->text + outer->end - 1; /* its closing bracket */
    at = skip_between(scan->text + (*pos ? *pos : outer->start + 1), end);
    if (at < end && outer->kind == AIGW_JSON_OBJECT) {
        take_value(scan, &at, end, name ? name : &unwanted);
        at = skip_between(at, end);
    }
    if (at >= end) {
        return 0;
    }
    take_value(scan, &at, end, value);
    *pos = value->end;
    return 1;
}

/* ---- strings ---- */

/* The inside of the quotes. */
static int inside(const aigw_json_scan_t *scan, const aigw_json_span_t *span, bytes_p *at, bytes_p *end)
{
    if (span->kind != AIGW_JSON_STRING || !in_text(scan, span) || span->end - span->start < 2) {
        return 0;
    }
    *at = (bytes_p)scan->text + span->start + 1;
    *end = (bytes_p)scan->text + span->end - 1;
    return 1;
}

static apr_size_t put_utf8(char out[4], long code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* The next piece of the unescaped string: a run of the text itself, or one character in buf. 0 at the end. */
static apr_size_t next_piece(bytes_p *at, bytes_p end, char buf[4], const char **piece)
{
    bytes_p from = *at, backslash;
    long code;
    int n;

    if (from >= end) {
        return 0;
    }
    if (*from == '\\') {
        n = aigw_json_escape(from, end, &code);
        if (n == 0) { /* not a string of an accepted text */
            return 0;
        }
        *at = from + n;
        *piece = buf;
        return put_utf8(buf, code);
    }
    backslash = memchr(from, '\\', (apr_size_t)(end - from));
    *at = backslash ? backslash : end;
    *piece = (const char *)from;
    return (apr_size_t)(*at - from);
}

int aigw_json_string_is(const aigw_json_scan_t *scan, const aigw_json_span_t *span, const char *s)
{
    bytes_p at, end;
    char buf[4];
    const char *piece;
    apr_size_t left = strlen(s), n;

    if (!inside(scan, span, &at, &end)) {
        return 0;
    }
    if ((apr_size_t)(end - at) == left && !memcmp(at, s, left) && !memchr(s, '\\', left)) {
        return 1; /* as nearly all names are written */
    }
    while ((n = next_piece(&at, end, buf, &piece)) > 0) {
        if (n > left || memcmp(piece, s, n) != 0) {
            return 0;
        }
        s += n;
        left -= n;
    }
    return left == 0 && at == end;
}

char *aigw_json_string(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_pool_t *p, apr_size_t max, apr_size_t *len)
{
    bytes_p at, end;
    char buf[4], *out;
    const char *piece;
    apr_size_t room, used = 0, n;

    if (!inside(scan, span, &at, &end)) {
        return NULL;
    }
    room = (apr_size_t)(end - at); /* an escape is never shorter than what it stands for */
    if (max && room > max) {
        if (room / 6 > max) { /* six bytes for one is the longest that an escape can be */
            return NULL;
        }
        room = max;
    }
    out = apr_palloc(p, room + 1);
    while ((n = next_piece(&at, end, buf, &piece)) > 0) {
        if (n > room - used) {
            return NULL;
        }
        memcpy(out + used, piece, n);
        used += n;
    }
    out[used] = '\0';
    if (len) {
        *len = used;
    }
    return out;
}

apr_size_t aigw_json_unescape(const aigw_json_scan_t *scan, const aigw_json_span_t *span, char *out)
{
    bytes_p at, end;
    char buf[4];
    const char *piece;
    apr_size_t used = 0, n;

    if (inside(scan, span, &at, &end)) {
        while ((n = next_piece(&at, end, buf, &piece)) > 0) {
            memcpy(out + used, piece, n);
            used += n;
        }
    }
    out[used] = '\0';
    return used;
}

/* ---- numbers ---- */

#define DECIMAL_DIGITS 800 /* more than decide how a double is rounded (767), whatever stands behind them */

/* A number as digits * 10^exponent; digits has neither leading nor trailing zeros. */
typedef struct decimal_t {
    int negative;
    int n; /* of digits, 0 for zero */
    apr_int64_t exponent;
    char digits[DECIMAL_DIGITS + 1];
} decimal_t;

/* The exponent behind an e, held where adding the text's length cannot overflow. */
static apr_int64_t read_exponent(bytes_p at, bytes_p end)
{
    const apr_int64_t limit = (apr_int64_t)1 << 56;
    apr_int64_t v = 0;
    int negative = at < end && *at == '-';

    if (at < end && (*at == '-' || *at == '+')) {
        ++at;
    }
    for (; at < end && *at >= '0' && *at <= '9'; ++at) {
        v = v < limit ? v * 10 + (*at - '0') : limit;
    }
    return negative ? -v : v;
}

static int read_decimal(const aigw_json_scan_t *scan, const aigw_json_span_t *span, decimal_t *d)
{
    bytes_p at, end;
    apr_int64_t zeros = 0; /* met behind the last digit that is not zero */
    int in_fraction = 0, dropped = 0;

    if (span->kind != AIGW_JSON_NUMBER || !in_text(scan, span)) {
        return 0;
    }
    at = (bytes_p)scan->text + span->start;
    end = (bytes_p)scan->text + span->end;
    d->n = 0;
    d->exponent = 0;
    d->negative = *at == '-';
    for (at += d->negative; at < end && (*at | 0x20) != 'e'; ++at) {
        if (*at == '.') {
            in_fraction = 1;
            continue;
        }
        d->exponent -= in_fraction;
        if (*at == '0') {
            ++zeros;
            continue;
        }
        for (; zeros && d->n && d->n < DECIMAL_DIGITS; --zeros) {
            d->digits[d->n++] = '0';
        }
        if (d->n == 0) {
            zeros = 0;
        }
        if (d->n < DECIMAL_DIGITS) {
            d->digits[d->n++] = (char)*at;
        }
        else {
            d->exponent += zeros + 1;
            zeros = 0;
            dropped = 1;
        }
    }
    if (dropped) { /* more than the digits kept, less than one in the last of them */
        d->digits[d->n++] = '1';
        --d->exponent;
    }
    d->exponent += zeros;
    if (at < end) {
        d->exponent += read_exponent(at + 1, end);
    }
    return 1;
}

int aigw_json_int(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_int64_t *out)
{
    decimal_t d;
    apr_uint64_t v = 0, limit = (apr_uint64_t)APR_INT64_MAX;
    int i;

    if (!read_decimal(scan, span, &d)) {
        return 0;
    }
    if (d.n == 0) {
        *out = 0;
        return 1;
    }
    if (d.exponent < 0 || d.exponent > 19 || d.n + d.exponent > 19) {
        return 0;
    }
    for (i = 0; i < d.n + (int)d.exponent; ++i) { /* 19 digits fit in 64 bits without a sign */
        v = v * 10 + (apr_uint64_t)(i < d.n ? d.digits[i] - '0' : 0);
    }
    if (v > limit + (d.negative ? 1 : 0)) {
        return 0;
    }
    *out = !d.negative ? (apr_int64_t)v : v > limit ? APR_INT64_MIN : -(apr_int64_t)v;
    return 1;
}

int aigw_json_double(const aigw_json_scan_t *scan, const aigw_json_span_t *span, double *out)
{
    decimal_t d;
    char buf[DECIMAL_DIGITS + 32];
    apr_int64_t exponent;
    double v;

    if (!read_decimal(scan, span, &d)) {
        return 0;
    }
    if (d.n == 0) {
        *out = d.negative ? -0.0 : 0.0;
        return 1;
    }
    exponent = d.exponent > 99999 ? 99999 : d.exponent < -99999 ? -99999 : d.exponent; /* both far beyond a double's */
    /* no decimal point: strtod() expects the one of the locale */
    snprintf(buf, sizeof(buf), "%s%.*se%d", d.negative ? "-" : "", d.n, d.digits, (int)exponent);
    v = strtod(buf, NULL);
    if (isinf(v)) {
        return 0;
    }
    *out = v;
    return 1;
}
