/* The key of a limit for somebody: the same in every process and on every machine, and such that nobody can find two of one key.
 *
 * Thread: any.
 */
#ifndef AIGW_LIMIT_HASH_H
#define AIGW_LIMIT_HASH_H

#include "aigw_limit_table.h"

/* Looks for SHA-256 once, which takes OpenSSL longer than to reckon it. For as long as the pool; before there are threads. Without it all the same, slower. */
void aigw_limit_hash_init(apr_pool_t *p);

/* The beginning of the SHA-256 of the three, each with its NUL but the last. Where there is no memory for it all are one. */
void aigw_limit_hash(const char *limit, const char *section, const char *who, unsigned char key[AIGW_LIMIT_KEY]);

#endif
