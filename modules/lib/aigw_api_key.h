/* API keys of the gateway: "aigw_<id>_<secret>", the secret being 32 random bytes in base64url without padding (RFC 4648, section 5).
 * What is kept of a key is the SHA-256 of all of it. The secret has 256 bits of its own, so nothing slower is needed.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_API_KEY_H
#define AIGW_API_KEY_H

#include <apr_pools.h>

#define AIGW_API_KEY_RANDOM 32 /* bytes of the secret */
#define AIGW_API_KEY_ID_MAX 64 /* characters */
#define AIGW_SHA256         32 /* bytes */

/* 1 if s is 1..AIGW_API_KEY_ID_MAX characters of [A-Za-z0-9.-]: it stands in the key, in logs and in the key file. */
int aigw_api_key_id_valid(const char *s);

/* The key, in p: a secret, to be shown once and wiped. The bytes are an argument so that a test is repeatable. */
char *aigw_api_key_format(apr_pool_t *p, const char *id, const unsigned char random[AIGW_API_KEY_RANDOM]);

/* The SHA-256 of a whole credential. APR_SUCCESS, or APR_EGENERAL: OpenSSL failed. */
apr_status_t aigw_api_key_digest(const char *key, apr_size_t len, unsigned char digest[AIGW_SHA256]);

#endif
