/* Signatures of JSON Web Tokens: JWS compact serialization (RFC 7515) with the algorithms of RFC 7518, by libjwt.
 *
 * libjwt 1.10 verifies with whatever algorithm the token names and reads more than base64url. So nothing comes here before aigw_jwt_parse() has been strict with the
 * token and the caller has found its algorithm among those that are configured; and a key says by itself what it may verify.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_JWS_H
#define AIGW_JWS_H

#include <apr_pools.h>
#include <jansson.h>

/* Algorithms: bits of a set. */
#define AIGW_JWS_HS256 0x001u
#define AIGW_JWS_HS384 0x002u
#define AIGW_JWS_HS512 0x004u
#define AIGW_JWS_RS256 0x008u
#define AIGW_JWS_RS384 0x010u
#define AIGW_JWS_RS512 0x020u
#define AIGW_JWS_ES256 0x040u
#define AIGW_JWS_ES384 0x080u
#define AIGW_JWS_ES512 0x100u
#define AIGW_JWS_HS    (AIGW_JWS_HS256 | AIGW_JWS_HS384 | AIGW_JWS_HS512)
#define AIGW_JWS_RS    (AIGW_JWS_RS256 | AIGW_JWS_RS384 | AIGW_JWS_RS512)
#define AIGW_JWS_ES    (AIGW_JWS_ES256 | AIGW_JWS_ES384 | AIGW_JWS_ES512)
#define AIGW_JWS_ALL   (AIGW_JWS_HS | AIGW_JWS_RS | AIGW_JWS_ES)

#define AIGW_JWS_RSA_BITS 2048 /* what an RSA key has at least (RFC 7518, section 3.3) */

/* The bit of "RS256"; 0: none of ours. Case counts. */
unsigned aigw_jws_alg(const char *name);

/* "RS256" for its bit. */
const char *aigw_jws_alg_name(unsigned alg);

typedef struct aigw_jws_key_t {
    const char *kid;      /* NULL: none. An index, never more */
    unsigned algs;        /* what it may verify: of its type, its curve or length. Never a secret's and a public key's at once */
    const char *material; /* a secret's bytes, or a public key in PEM, NUL-terminated. Of a signing key the private one */
    apr_size_t len;
} aigw_jws_key_t;

/* A secret of len bytes, which are copied to p. NULL, or what is wrong: shorter than the 32 bytes of HS256's hash (RFC 7518, section 3.2), or a key in another form than
 * PEM (DER, base64 of it, JWK, JWKS, SSH): if it is a public one, it is no secret. */
const char *aigw_jws_secret(apr_pool_t *p, const char *bytes, apr_size_t len, aigw_jws_key_t *key);

/* A public key, a certificate (its key; its dates are not looked at) or a private key (its public half) in PEM. NULL, or what is wrong. */
const char *aigw_jws_public(apr_pool_t *p, const char *pem, apr_size_t len, aigw_jws_key_t *key);

/* A private key in PEM, without a passphrase: to sign with. NULL, or what is wrong. */
const char *aigw_jws_private(apr_pool_t *p, const char *pem, apr_size_t len, aigw_jws_key_t *key);

/* 1 if text looks like PEM, not like a secret. */
int aigw_jws_is_pem(const char *text, apr_size_t len);

/* 1 if the signature of the token is good. token: NUL-terminated, and aigw_jwt_parse() has said yes to it, with this alg. alg: one bit; 0 comes back where the key may not verify it. */
int aigw_jws_verify(const char *token, unsigned alg, const aigw_jws_key_t *key);

/* The token, in p. claims: an object; not kept. alg: one bit that the key may do. NULL: it cannot be signed. */
char *aigw_jws_sign(apr_pool_t *p, const json_t *claims, unsigned alg, const aigw_jws_key_t *key);

#endif
