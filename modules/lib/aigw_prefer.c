#include "aigw_prefer.h"

#include <apr_strings.h>
#include <string.h>

#define WAIT_MAX APR_INT64_C(1000000000) /* more is no more */

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

/* Behind the quoted string that begins here. */
static const char *skip_quoted(const char *s)
{
    for (s++; *s && *s != '"'; s++) {
        if (*s == '\\' && s[1]) {
            s++;
        }
    }
    return *s ? s + 1 : s;
}

/* Behind the comma that ends this preference, or at the end of the field. */
static const char *skip_preference(const char *s)
{
    while (*s && *s != ',') {
        s = *s == '"' ? skip_quoted(s) : s + 1;
    }
    return *s ? s + 1 : s;
}

/* The whole value: 10, or "10". */
static apr_int64_t read_seconds(const char *s)
{
    const int quoted = *s == '"';
    apr_int64_t n = 0;

    s += quoted;
    if (*s < '0' || *s > '9') {
        return -1;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        n = n >= WAIT_MAX ? WAIT_MAX : n * 10 + (*s - '0');
    }
    if (quoted && *s++ != '"') {
        return -1;
    }
    s = skip_space(s);
    return *s && *s != ',' && *s != ';' ? -1 : n;
}

apr_int64_t aigw_prefer_wait(const char *field)
{
    const char *s = field ? field : "";

    for (s = skip_space(s); *s; s = skip_space(skip_preference(s))) {
        const char *value;

        if (strncasecmp(s, "wait", 4)) {
            continue;
        }
        value = skip_space(s + 4);
        if (*value == '=') {
            return read_seconds(skip_space(value + 1));
        }
    }
    return -1;
}
