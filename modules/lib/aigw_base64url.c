#include "aigw_base64url.h"

static int value(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

unsigned char *aigw_base64url_decode(apr_pool_t *p, const char *text, apr_size_t n, apr_size_t *len)
{
    unsigned char *bytes = apr_palloc(p, n / 4 * 3 + 4), *to = bytes;
    unsigned held = 0, bits = 0;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        int v = value(text[i]);

        if (v < 0) {
            return NULL;
        }
        held = held << 6 | (unsigned)v;
        if ((bits += 6) >= 8) {
            bits -= 8;
            *to++ = (unsigned char)(held >> bits);
            held &= (1u << bits) - 1;
        }
    }
    if (bits == 6 || held) { /* a character alone is less than a byte */
        return NULL;
    }
    *to = '\0';
    *len = (apr_size_t)(to - bytes);
    return bytes;
}
