/* Lists of names and patterns of names: scopes, models. Thread: any; no state. */
#ifndef AIGW_NAMES_H
#define AIGW_NAMES_H

#include <apr_tables.h>

#define AIGW_NAME_MAX 256

/* 1 if the list (const char *; may be NULL: no) has exactly this name. */
int aigw_names_have(const apr_array_header_t *names, const char *name);

/* 1 if one of the patterns (const char *, as of apr_fnmatch: * ? [a-z]; NULL: everything is allowed) fits the name, case and all. */
int aigw_names_allow(const apr_array_header_t *patterns, const char *name);

/* The list and its names, in p; NULL for NULL. */
apr_array_header_t *aigw_names_copy(apr_pool_t *p, const apr_array_header_t *names);

/* 1 if it may stand in logs, headers, claims and variables: AIGW_NAME_MAX bytes of UTF-8 at most and not none, without control characters. */
int aigw_names_valid(const char *name, apr_size_t len);

#endif
