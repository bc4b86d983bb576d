/* Request identifiers; see aigw_request_id.h. */
#include "aigw_request_id.h"

static const char hex[] = "0123456789abcdef";

/* not isalnum(): what it says depends on the locale */
static int is_id_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == ':' || c == '-';
}

int aigw_request_id_valid(const char *s)
{
    apr_size_t n;

    if (!s) {
        return 0;
    }
    for (n = 0; s[n]; ++n) {
        if (n == AIGW_REQUEST_ID_MAX || !is_id_char((unsigned char)s[n])) {
            return 0;
        }
    }
    return n > 0;
}

char *aigw_request_id_format(apr_pool_t *p, const unsigned char random[16])
{
    char *id = apr_palloc(p, 37), *out = id;
    int i;

    for (i = 0; i < 16; ++i) {
        unsigned char byte = random[i];

        if (i == 6) {
            byte = (unsigned char)((byte & 0x0f) | 0x40); /* version 4 */
        }
        else if (i == 8) {
            byte = (unsigned char)((byte & 0x3f) | 0x80); /* variant of RFC 9562 */
        }
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = hex[byte >> 4];
        *out++ = hex[byte & 15];
    }
    *out = '\0';
    return id;
}
