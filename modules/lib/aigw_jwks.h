/* JSON Web Key Sets (RFC 7517): RSA and EC keys, and secrets (oct), to keys that libjwt can use. OKP keys (Ed25519) are counted, not kept: libjwt 1.10 has no EdDSA.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_JWKS_H
#define AIGW_JWKS_H

#include <apr_tables.h>
#include "aigw_jws.h"

#define AIGW_JWKS_BYTES_MAX (256 * 1024)
#define AIGW_JWKS_KEYS_MAX  100

typedef struct aigw_jwks_t {
    apr_array_header_t *keys; /* aigw_jws_key_t */
    int skipped;              /* keys of another type, use or algorithm, too weak, or broken: a set may have such beside good ones */
} aigw_jwks_t;

/* Where a set comes from says what may be in it. */
typedef enum {
    AIGW_JWKS_FILE,   /* the administrator's: secrets too, and of a private key the public half */
    AIGW_JWKS_FETCHED /* public: a secret in it is none, nor a key whose private half stands beside it */
} aigw_jwks_from_e;

/* Reads the set. Everything is copied to p. NULL, or what is wrong with the whole: no JSON, no "keys", too large, not one usable key. */
const char *aigw_jwks_read(apr_pool_t *p, const char *text, apr_size_t len, aigw_jwks_from_e from, aigw_jwks_t *set);

/* The keys of the set that may verify alg under this kid, at most max of them (const aigw_jws_key_t *), best first: those that have this kid; without a kid in the token all. A key without a kid is for every
 * kid. Returns how many. */
int aigw_jwks_find(const aigw_jwks_t *set, const char *kid, unsigned alg, const aigw_jws_key_t **found, int max);

/* The same keys, copied to p, to outlive the set. */
int aigw_jwks_copy(apr_pool_t *p, const aigw_jwks_t *set, const char *kid, unsigned alg, aigw_jws_key_t *found, int max);

/* 1 if a key of the set has this kid, whatever it may verify: a newer set would have no other. kid NULL: 0. */
int aigw_jwks_knows(const aigw_jwks_t *set, const char *kid);

#endif
