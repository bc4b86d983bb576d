#include "aigw_decimal.h"

#include <string.h>

char *aigw_decimal(char *to, apr_int64_t n, int decimals)
{
    char digits[AIGW_DECIMAL_MAX], *at = digits + sizeof digits;
    int written = 0;
    apr_size_t len;

    if (n < 0) {
        n = 0;
    }
    do {
        if (written == decimals && decimals > 0) {
            *--at = '.';
        }
        *--at = (char)('0' + n % 10);
        n /= 10;
        ++written;
    } while (n > 0 || written <= decimals);
    len = (apr_size_t)(digits + sizeof digits - at);
    memcpy(to, at, len);
    to[len] = '\0';
    return to + len;
}
