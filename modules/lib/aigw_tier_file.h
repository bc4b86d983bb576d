/* The tier file: who is in which tier, in the format of httpd's group files.
 *
 *     # comment
 *     pro:        alice bob "Carol Example"
 *     enterprise: "cn=dave,dc=example,dc=com"
 *
 * A tier may stand on several lines; a user is in one tier. Names in double quotes may have blanks; \" and \\ stand for themselves there.
 *
 * A file that has been read is never changed: any number of threads may look up in it.
 */
#ifndef AIGW_TIER_FILE_H
#define AIGW_TIER_FILE_H

#include <apr_errno.h>
#include <apr_pools.h>

typedef struct aigw_tier_file_t aigw_tier_file_t;

typedef struct aigw_tier_fault_t {
    int line;            /* from 1 */
    const char *message; /* for the administrator, a sentence; in the pool */
} aigw_tier_fault_t;

/* Reads a whole file into p; nothing points into text. APR_SUCCESS, or APR_EINVAL, the first mistake in *fault and NULL in *file. */
apr_status_t aigw_tier_file_read(aigw_tier_file_t **file, const char *text, apr_size_t len, apr_pool_t *p, aigw_tier_fault_t *fault);

/* The user's tier; NULL: none. Case counts. */
const char *aigw_tier_file_find(const aigw_tier_file_t *file, const char *user);

apr_size_t aigw_tier_file_count(const aigw_tier_file_t *file); /* users */

#endif
