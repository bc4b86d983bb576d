/* Lists of names and patterns of names: scopes, models. Thread: any; no state. */
#ifndef AIGW_NAMES_H
#define AIGW_NAMES_H

#include <apr_tables.h>

/* 1 if the list (const char *; may be NULL: no) has exactly this name. */
int aigw_names_have(const apr_array_header_t *names, const char *name);

/* 1 if one of the patterns (const char *, as of apr_fnmatch: * ? [a-z]; NULL: everything is allowed) fits the name, case and all. */
int aigw_names_allow(const apr_array_header_t *patterns, const char *name);

/* The list and its names, in p; NULL for NULL. */
apr_array_header_t *aigw_names_copy(apr_pool_t *p, const apr_array_header_t *names);

#endif
