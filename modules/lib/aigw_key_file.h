/* The key file: who has which API key. One JSON object a line; empty lines and lines that begin with # are comments.
 *
 *     {"id":"k1","sha256":"<64 hex digits>","user":"alice","tier":"pro","scopes":["chat"],"models":["gpt-*"],"expires":"2027-01-01T00:00:00Z"}
 *
 * id, sha256 and user are required. A member that is not known is refused: a misspelt "disabled" must not leave a key alive. "created" and "note" are for people.
 *
 * A file that has been read is never changed: any number of threads may look up in it.
 */
#ifndef AIGW_KEY_FILE_H
#define AIGW_KEY_FILE_H

#include "aigw_api_key.h"

#include <apr_hash.h>
#include <apr_tables.h>
#include <apr_time.h>

#define AIGW_KEY_LINE_MAX 16384 /* bytes of a line */

typedef struct aigw_key_t {
    const char *id;
    const char *user;
    const char *tier;                 /* NULL: none */
    const apr_array_header_t *scopes; /* const char *; NULL: none */
    const apr_array_header_t *models; /* const char *, patterns; NULL: all */
    const char *created, *note;       /* NULL: not said */
    apr_time_t expires;               /* microseconds since 1970, the first moment in which it is not valid; 0: never */
    int disabled;
    unsigned char digest[AIGW_SHA256];
} aigw_key_t;

typedef struct aigw_key_file_t {
    apr_size_t n;
    const aigw_key_t **keys; /* in the order of the file */
    apr_uint32_t *slots;     /* open addressing by the digest: index + 1, 0 is free */
    apr_uint32_t mask;
    apr_hash_t *ids; /* const aigw_key_t *, by id */
} aigw_key_file_t;

typedef struct aigw_key_fault_t {
    int line;            /* from 1 */
    const char *message; /* for the administrator, a sentence without anything of the file but names; in the pool */
} aigw_key_fault_t;

/* Reads a whole file into p; nothing points into text. APR_SUCCESS, or APR_EINVAL, the first mistake in *fault and NULL in *file. */
apr_status_t aigw_key_file_read(aigw_key_file_t **file, const char *text, apr_size_t len, apr_pool_t *p, aigw_key_fault_t *fault);

/* One line, without its newline. APR_SUCCESS, or APR_EINVAL and fault->message. */
apr_status_t aigw_key_line_read(aigw_key_t *key, const char *line, apr_size_t len, apr_pool_t *p, aigw_key_fault_t *fault);

/* The line of a key, in p, without a newline, "expires" in whole seconds; NULL: aigw_key_line_read() would refuse it. */
char *aigw_key_line_write(apr_pool_t *p, const aigw_key_t *key);

/* The key of this digest, whether or not it is disabled or has expired; NULL: there is none. One step whatever the number of keys; the digests are compared in
 * constant time. */
const aigw_key_t *aigw_key_file_find(const aigw_key_file_t *file, const unsigned char digest[AIGW_SHA256]);

/* The same for an id, which is no secret. */
const aigw_key_t *aigw_key_file_named(const aigw_key_file_t *file, const char *id);

#endif
