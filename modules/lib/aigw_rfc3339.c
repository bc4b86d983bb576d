#include "aigw_rfc3339.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define YEAR_10000 apr_time_from_sec(253402300800)

/* Exactly n digits; -1: they are not there. */
static int digits(const char **s, int n)
{
    int value = 0;

    for (; n; n--, (*s)++) {
        if (!apr_isdigit(**s)) {
            return -1;
        }
        value = value * 10 + (**s - '0');
    }
    return value;
}

/* A number of n digits in [min, max], and the character after it (0: whatever it is). */
static int part(const char **s, int n, int min, int max, char after, int *value)
{
    *value = digits(s, n);
    if (*value < min || *value > max || (after && *(*s)++ != after)) {
        return 0;
    }
    return 1;
}

static apr_int32_t fraction(const char **s)
{
    apr_int32_t usec = 0, unit = 100000;

    if (**s != '.') {
        return 0;
    }
    if (!apr_isdigit(*++*s)) {
        return -1;
    }
    for (; apr_isdigit(**s); (*s)++, unit /= 10) {
        usec += (**s - '0') * unit;
    }
    return usec;
}

static int zone(const char **s, int *offset)
{
    int sign = **s == '-' ? -1 : 1, hours, minutes;

    *offset = 0;
    if (**s == 'Z' || **s == 'z') {
        (*s)++;
        return 1;
    }
    if (**s != '+' && **s != '-') {
        return 0;
    }
    (*s)++;
    if (!part(s, 2, 0, 23, ':', &hours) || !part(s, 2, 0, 59, 0, &minutes)) {
        return 0;
    }
    *offset = sign * (hours * 3600 + minutes * 60);
    return 1;
}

apr_status_t aigw_rfc3339_parse(const char *s, apr_time_t *t)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    apr_time_exp_t e = {0};
    int year, month, leap;

    if (!part(&s, 4, 1970, 9999, '-', &year) || !part(&s, 2, 1, 12, '-', &month) || !part(&s, 2, 1, 31, 0, &e.tm_mday) ||
        (*s != 'T' && *s != 't' && *s != ' ')) {
        return APR_EINVAL;
    }
    s++;
    if (!part(&s, 2, 0, 23, ':', &e.tm_hour) || !part(&s, 2, 0, 59, ':', &e.tm_min) || !part(&s, 2, 0, 60, 0, &e.tm_sec) ||
        (e.tm_usec = fraction(&s)) < 0 || !zone(&s, &e.tm_gmtoff) || *s) {
        return APR_EINVAL;
    }
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (e.tm_mday > days[month - 1] + (month == 2 && leap)) {
        return APR_EINVAL;
    }
    e.tm_year = year - 1900;
    e.tm_mon = month - 1;
    /* the offset and second 60 may lead out of these years, where format() writes what is no such date */
    return apr_time_exp_gmt_get(t, &e) == APR_SUCCESS && *t >= 0 && *t < YEAR_10000 ? APR_SUCCESS : APR_EINVAL;
}

char *aigw_rfc3339_format(apr_pool_t *p, apr_time_t t)
{
    apr_time_exp_t e;

    apr_time_exp_gmt(&e, t);
    return apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02dZ", e.tm_year + 1900, e.tm_mon + 1, e.tm_mday, e.tm_hour, e.tm_min, e.tm_sec);
}
