/* The traceparent header; see aigw_traceparent.h. */
#include "aigw_traceparent.h"

#include <apr_strings.h>
#include <string.h>

/* where the fields of "vv-tttttttttttttttttttttttttttttttt-ssssssssssssssss-ff" are */
#define TRACE_AT 3
#define SPAN_AT  36
#define FLAGS_AT 53
#define FIELDS   55

#define SAMPLED 1

static const char hex[] = "0123456789abcdef";

/* lower case only, as the recommendation demands */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hex digits; their value is 0 or not in *nonzero. Stops at a NUL, so s need not be n long. */
static int is_hex(const char *s, int n, int *nonzero)
{
    int i;

    *nonzero = 0;
    for (i = 0; i < n; ++i) {
        int v = hex_value(s[i]);

        if (v < 0) {
            return 0;
        }
        *nonzero |= v;
    }
    return 1;
}

static int is_traceparent(const char *s)
{
    int version, trace, span, flags;

    if (!is_hex(s, 2, &version) || s[2] != '-' || !is_hex(s + TRACE_AT, 32, &trace) || s[TRACE_AT + 32] != '-' ||
        !is_hex(s + SPAN_AT, 16, &span) || s[SPAN_AT + 16] != '-' || !is_hex(s + FLAGS_AT, 2, &flags)) {
        return 0;
    }
    if (!trace || !span || (s[0] == 'f' && s[1] == 'f')) {
        return 0;
    }
    return s[FIELDS] == '\0' || (version && s[FIELDS] == '-'); /* a later version may have more fields */
}

/* Random bytes as hex digits and a NUL. All zero means "no ID", so that one unlucky number in 2^64 becomes 1. */
static void make_id(char *out, const unsigned char *random, int n)
{
    unsigned char any = 0;
    int i;

    for (i = 0; i < n; ++i) {
        out[2 * i] = hex[random[i] >> 4];
        out[2 * i + 1] = hex[random[i] & 15];
        any |= random[i];
    }
    out[2 * n] = '\0';
    if (!any) {
        out[2 * n - 1] = '1';
    }
}

int aigw_traceparent_continue(aigw_traceparent_t *t, const char *header, const unsigned char random[24])
{
    memset(t, 0, sizeof(*t));
    make_id(t->span_id, random + 16, 8);
    if (!header || !is_traceparent(header)) {
        make_id(t->trace_id, random, 16);
        t->flags = SAMPLED;
        return 0;
    }
    memcpy(t->trace_id, header + TRACE_AT, 32);
    memcpy(t->parent_id, header + SPAN_AT, 16);
    t->flags = (unsigned char)(hex_value(header[FLAGS_AT + 1]) & SAMPLED); /* unknown flags are sent as zero */
    return 1;
}

char *aigw_traceparent_format(apr_pool_t *p, const aigw_traceparent_t *t)
{
    char *field = apr_palloc(p, sizeof "00-" + 32 + 1 + 16 + 3), *at = field;

    at = apr_cpystrn(at, "00-", 4);
    at = apr_cpystrn(at, t->trace_id, 33);
    *at++ = '-';
    at = apr_cpystrn(at, t->span_id, 17);
    *at++ = '-';
    *at++ = hex[t->flags >> 4 & 15];
    *at++ = hex[t->flags & 15];
    *at = '\0';
    return field;
}
