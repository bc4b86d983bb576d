#include "aigw_names.h"
#include "aigw_text.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>

#include <string.h>

int aigw_names_have(const apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(names, i, const char *), name)) {
            return 1;
        }
    }
    return 0;
}

int aigw_names_allow(const apr_array_header_t *patterns, const char *name)
{
    int i;

    for (i = 0; patterns && i < patterns->nelts; i++) {
        if (apr_fnmatch(APR_ARRAY_IDX(patterns, i, const char *), name, 0) == APR_SUCCESS) {
            return 1;
        }
    }
    return !patterns;
}

apr_array_header_t *aigw_names_copy(apr_pool_t *p, const apr_array_header_t *names)
{
    apr_array_header_t *copy = names ? apr_array_make(p, names->nelts, sizeof(const char *)) : NULL;
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        APR_ARRAY_PUSH(copy, const char *) = apr_pstrdup(p, APR_ARRAY_IDX(names, i, const char *));
    }
    return copy;
}

/* C1 as well: U+009B begins a terminal's sequence, U+0085 a line. */
int aigw_names_valid(const char *name, apr_size_t len)
{
    const unsigned char *s = (const unsigned char *)name;
    apr_size_t i;

    if (!len || len > AIGW_NAME_MAX) {
        return 0;
    }
    for (i = 0; i < len; i++) {
        if (s[i] < 0x20 || s[i] == 0x7f || (s[i] == 0xc2 && i + 1 < len && s[i + 1] < 0xa0)) {
            return 0;
        }
    }
    return aigw_text_valid(name, len);
}
