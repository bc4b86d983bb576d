/* JSON Web Tokens (RFC 7519) before anybody believes them: the form, the header, the claims. What RFC 8725 asks for and libjwt does not do is here.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_JWT_H
#define AIGW_JWT_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <jansson.h>

#define AIGW_JWT_MAX 8192 /* bytes of a token */

/* A token that has the right form. Nothing in it is known to be true before its signature has been verified. */
typedef struct aigw_jwt_t {
    const char *text;   /* the token, in the pool, NUL-terminated. A secret: never logged */
    unsigned alg;       /* AIGW_JWS_*, one bit */
    const char *kid;    /* NULL: none */
    const char *issuer; /* iss; NULL: none */
    const char *jti;    /* NULL: none */
    json_t *claims;     /* an object; goes with the pool */
} aigw_jwt_t;

/* 1 if the credential has the form of a compact JWS: three parts of base64url, of which the first is a JSON object's beginning ("eyJ"). */
int aigw_jwt_looks_like(const char *token, apr_size_t len);

/* Reads the token. NULL, or why not, a constant sentence for the log that repeats nothing of the token. Refused is all that is not exactly three parts of unpadded
 * base64url with no stray bits, headers or claims with a name twice, an unknown alg ("none" is one), crit, b64, zip, a typ that libjwt does not take, an empty part, claims of a wrong type. jku, x5u, jwk, x5c are
 * not looked at. */
const char *aigw_jwt_parse(apr_pool_t *p, const char *token, apr_size_t len, aigw_jwt_t *jwt);

/* What the claims are held against, besides the signature. */
typedef struct aigw_jwt_rules_t {
    const apr_array_header_t *audiences; /* const char *: one of them must be in aud; NULL: any, or none */
    apr_interval_time_t skew;            /* microseconds that clocks may differ */
    apr_time_t now;                      /* microseconds since 1970 */
} aigw_jwt_rules_t;

typedef enum {
    AIGW_JWT_GOOD,
    AIGW_JWT_EXPIRED,  /* exp is over */
    AIGW_JWT_EARLY,    /* nbf, or iat, is in the future */
    AIGW_JWT_TIMELESS, /* there is no exp, or one that is no time */
    AIGW_JWT_AUDIENCE  /* it is for somebody else */
} aigw_jwt_e;

/* Sets *expires: microseconds since 1970, skew not included, whatever is found but TIMELESS. */
aigw_jwt_e aigw_jwt_check(const json_t *claims, const aigw_jwt_rules_t *rules, apr_time_t *expires);

/* The claim of that name; where there is none, name is a path with dots ("realm_access.roles"). NULL: none. */
const json_t *aigw_jwt_claim(const json_t *claims, const char *name);

/* A claim's names: an array of strings, or one string of names with blanks between them (RFC 8693, section 4.2). NULL: the claim is neither. In p. */
apr_array_header_t *aigw_jwt_names(apr_pool_t *p, const json_t *claim);

/* A claim as a name that may stand in logs and headers, in p: a string of 1 to 256 bytes without control characters, or an integer. NULL: neither. */
const char *aigw_jwt_name(apr_pool_t *p, const json_t *claim);

#endif
