#include "aigw_names.h"

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
