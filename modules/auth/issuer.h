/* <AIGWJwtIssuer name>: whose tokens are good here, and what their claims mean. Constant after the configuration is read, but for its keys. */
#ifndef AIGW_AUTH_ISSUER_H
#define AIGW_AUTH_ISSUER_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_request.h"
#include "key_source.h"

typedef struct aigw_issuer_t {
    const char *name;                    /* iss */
    const apr_array_header_t *audiences; /* const char *; NULL: "any" was written */
    unsigned algs;                       /* AIGW_JWS_*: what is configured, or what the keys can do */
    aigw_key_source_t *keys;
    const char *user_claim, *tier_claim, *scopes_claim, *models_claim; /* a name or a dotted path */
    const apr_array_header_t *tier_map; /* aigw_tier_map_t, first match wins; NULL: the claim's value is the tier */
    apr_interval_time_t skew;           /* microseconds */
    const char *sign_source;            /* AIGWJwtSign; NULL: it only verifies */
    aigw_jws_key_t sign_key;            /* algs 0: none. A secret */
    unsigned sign_alg;
    const char *defn_name;
    unsigned defn_line;
} aigw_issuer_t;

typedef struct aigw_tier_map_t {
    const char *value; /* one of the claim's names */
    const char *tier;
} aigw_tier_map_t;

/* The issuer of that name which the server of s knows; NULL: none. Any thread. */
aigw_issuer_t *aigw_issuer_find(const server_rec *s, const char *name);

/* A token of this issuer, in p, for a login. claims: an object without iss and aud, which are added; iat, exp and jti are the caller's. NULL: it cannot sign. Any thread. */
char *aigw_issuer_sign(const aigw_issuer_t *issuer, json_t *claims, apr_pool_t *p);

#endif
