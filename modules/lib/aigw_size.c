#include "aigw_size.h"

#include <apr_errno.h>
#include <apr_strings.h>

/* -1: it is no unit. */
static int shift_of(const char *unit)
{
    return *unit && unit[1]               ? -1
           : *unit == 'k' || *unit == 'K' ? 10
           : *unit == 'm' || *unit == 'M' ? 20
           : *unit == 'g' || *unit == 'G' ? 30
           : *unit                        ? -1
                                          : 0;
}

int aigw_size_read(const char *written, apr_off_t *bytes)
{
    apr_off_t n;
    char *end;
    int shift;

    if (*written < '0' || *written > '9' || apr_strtoff(&n, written, &end, 10) != APR_SUCCESS || (shift = shift_of(end)) < 0 ||
        n > APR_INT64_MAX >> shift) {
        return 0;
    }
    *bytes = n << shift;
    return 1;
}
