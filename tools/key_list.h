/* Keys to look at, on stdout; nothing of a secret or its digest is in it. */
#ifndef AIGW_KEY_LIST_H
#define AIGW_KEY_LIST_H

#include "aigw_key_file.h"

/* "disabled", "expired" or "active", at that time. */
const char *key_state(const aigw_key_t *key, apr_time_t now);

/* A line a key under a line of titles. KEY_OK, or KEY_FAILED: stdout cannot be written, which it has said. */
int key_list_table(const aigw_key_file_t *file, apr_time_t now, apr_pool_t *p);

/* The same as a JSON array: "models" is null where all are allowed, "tier", "expires", "created" and "note" are null where there is none. */
int key_list_json(const aigw_key_file_t *file, apr_time_t now, apr_pool_t *p);

#endif
