#include "aigw_base64url.h"

#include <apr_encode.h>
#include <apr_strings.h>

#include <string.h>

/* APR reads more than this, both alphabets and padding: what it has read is written again, and must be what was there. */
unsigned char *aigw_base64url_decode(apr_pool_t *p, const char *text, apr_size_t n, apr_size_t *len)
{
    unsigned char *bytes = apr_palloc(p, n + 4);
    const char *again;

    *len = 0;
    if (n && apr_decode_base64_binary(bytes, text, (apr_ssize_t)n, APR_ENCODE_NONE, len) != APR_SUCCESS) {
        return NULL;
    }
    again = apr_pencode_base64_binary(p, bytes, (apr_ssize_t)*len, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
    bytes[*len] = '\0';
    return again && strlen(again) == n && !memcmp(again, text, n) ? bytes : NULL;
}
