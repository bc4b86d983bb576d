#include "aigw_text.h"

#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* The character at s (s < end) and its bytes, or -1 and 1 where there is none: RFC 3629, no surrogates, nothing longer than needed. */
static apr_int32_t next_char(const char *s, const char *end, apr_size_t *bytes)
{
    static const apr_int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)s;
    apr_size_t n, i;
    apr_int32_t c;

    *bytes = 1;
    if (u[0] < 0x80) {
        return u[0];
    }
    n = u[0] >= 0xF0 ? 4 : u[0] >= 0xE0 ? 3 : 2;
    if (u[0] < 0xC2 || u[0] > 0xF4 || (apr_size_t)(end - s) < n) {
        return -1;
    }
    c = u[0] & (0xFF >> (n + 1));
    for (i = 1; i < n; i++) {
        if ((u[i] & 0xC0) != 0x80) {
            return -1;
        }
        c = (c << 6) | (u[i] & 0x3F);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return -1;
    }
    *bytes = n;
    return c;
}

static int is_space(apr_int32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200B) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000 || c == 0xFEFF;
}

static int is_control(apr_int32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

apr_size_t aigw_text_length(const char *s, apr_size_t len)
{
    const char *end = s + len;
    apr_size_t n = 0, bytes;

    for (; s < end; s += bytes) {
        next_char(s, end, &bytes);
        n++;
    }
    return n;
}

int aigw_text_valid(const char *s, apr_size_t len)
{
    const char *end = s + len;
    apr_size_t bytes;

    for (; s < end; s += bytes) {
        if (next_char(s, end, &bytes) < 0) {
            return 0;
        }
    }
    return 1;
}

int aigw_text_blank(const char *s, apr_size_t len)
{
    const char *end = s + len;
    apr_size_t bytes;

    for (; s < end; s += bytes) {
        if (!is_space(next_char(s, end, &bytes))) {
            return 0;
        }
    }
    return 1;
}

/* The slow way of aigw_text_json(): every byte that is no character becomes three. */
static json_t *repaired(const char *s, apr_size_t len)
{
    const char *end = s + len;
    char *block = malloc(len * 3 + 1), *to = block;
    apr_size_t bytes;
    json_t *j;

    if (!block) {
        return NULL;
    }
    for (; s < end; s += bytes) {
        const char *from = next_char(s, end, &bytes) < 0 ? replacement : s;
        apr_size_t n = from == s ? bytes : sizeof replacement - 1;

        memcpy(to, from, n);
        to += n;
    }
    j = json_stringn_nocheck(block, (size_t)(to - block));
    free(block);
    return j;
}

json_t *aigw_text_json(const char *s, apr_size_t len)
{
    json_t *j = json_stringn(len ? s : "", len);

    return j ? j : repaired(s, len);
}

char *aigw_text_shown(apr_pool_t *p, const char *s, apr_size_t max)
{
    const char *end = s + strlen(s);
    char *shown = apr_palloc(p, max * 4 + sizeof "..."), *to = shown;
    apr_size_t n, bytes;

    for (n = 0; s < end; s += bytes) {
        apr_int32_t c = next_char(s, end, &bytes);

        if (c < 0 || is_control(c)) {
            continue;
        }
        if (n++ == max) {
            memcpy(to, "...", sizeof "..." - 1);
            to += sizeof "..." - 1;
            break;
        }
        memcpy(to, s, bytes);
        to += bytes;
    }
    *to = '\0';
    return shown;
}
