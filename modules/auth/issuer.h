/* <AIGWJwtIssuer name>: whose tokens are good here, and what their claims mean. Constant after the configuration is read, but for its keys. */
#ifndef AIGW_AUTH_ISSUER_H
#define AIGW_AUTH_ISSUER_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_request.h"
#include "aigw_jwt.h"
#include "key_source.h"

#define AIGW_ISSUER_SKEW_MAX apr_time_from_sec(600) /* what AIGWJwtSkew says at most */

typedef struct aigw_tier_map_t {
    const char *value; /* one of the claim's names */
    const char *tier;
} aigw_tier_map_t;

typedef struct aigw_issuer_t {
    const char *name;              /* iss */
    apr_array_header_t *audiences; /* const char *; NULL: "any" was written */
    int audience_said;
    unsigned algs;           /* AIGW_JWS_*: what is configured, and what the keys can do. Never a secret's and a public key's at once */
    aigw_key_source_t *keys; /* AIGWJwtKey; NULL: own_key verifies */
    const char *user_claim, *tier_claim, *scopes_claim, *models_claim; /* a name or a dotted path */
    apr_array_header_t *tier_map;       /* aigw_tier_map_t, first match wins; NULL: the claim's value is the tier */
    apr_interval_time_t skew;           /* microseconds */
    const char *sign_source, *sign_kid; /* AIGWJwtSign; NULL: it only verifies */
    unsigned sign_alg;                  /* one bit; 0 until it is known */
    aigw_jws_key_t sign_key;            /* a secret. algs 0: none */
    aigw_jws_key_t own_key;             /* what verifies its own tokens, where keys is NULL */
    const char *defn_name;              /* file and line of the section, for messages */
    unsigned defn_line;
    int loaded;
} aigw_issuer_t;

/* The issuer of that name which the server of s knows; NULL: none. Any thread. */
aigw_issuer_t *aigw_issuer_find(const server_rec *s, const char *name);

/* check_config: reads its keys. 0, or the mistake has been logged. Twice does no harm. */
int aigw_issuer_load(aigw_issuer_t *issuer, server_rec *s, apr_pool_t *pconf);

/* The keys that may verify alg under kid. As aigw_key_source_find(). */
aigw_keys_e aigw_issuer_keys(const aigw_issuer_t *issuer, server_rec *s, const char *kid, unsigned alg, apr_pool_t *p,
                             aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count);

/* Who the claims say it is, in p. NULL, or what is wrong, a constant sentence. The claims have been verified. */
const char *aigw_issuer_identity(const aigw_issuer_t *issuer, const json_t *claims, apr_pool_t *p, aigw_identity_t *identity);

/* A token of this issuer, in p, for a login. claims: an object, to which iss and, of several, the first aud are added; sub, iat, exp and jti are the caller's. NULL: it cannot
 * sign. Any thread. */
char *aigw_issuer_sign(const aigw_issuer_t *issuer, json_t *claims, apr_pool_t *p);

#endif
