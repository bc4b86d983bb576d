/* Configuration of mod_aigw_auth: directives, merging. */
#ifndef AIGW_AUTH_CONF_H
#define AIGW_AUTH_CONF_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_request.h"
#include "cors.h"
#include "jwks_conf.h"
#include "key_store.h"
#include "login_conf.h"
#include "followed_file.h"

typedef struct aigw_auth_server_t {
    aigw_key_store_t *keys;         /* AIGWKeyFile; NULL: none */
    apr_array_header_t *issuers;    /* <AIGWJwtIssuer>, aigw_issuer_t *; NULL: none */
    int cache_entries;              /* AIGWTokenCache; of the main server. 0: nothing is kept */
    apr_interval_time_t cache_time; /* microseconds that a verified token is not verified again */
    aigw_jwks_conf_t jwks;          /* AIGWJwks… */
    aigw_followed_file_t *tiers;    /* AIGWTierFile; NULL: none */
    int revocations, login_workers; /* AIGWRevocations, AIGWLoginWorkers; of the main server. 0: not said */
    int revocations_redis;          /* AIGWRevocationStore redis; of the main server */
} aigw_auth_server_t;

typedef struct aigw_auth_dir_t {
    apr_array_header_t *models; /* AIGWAllowModels, const char *; NULL: not said; empty: "all" */
    aigw_cors_t cors;           /* AIGWCorsOrigin, AIGWCorsCredentials */
    aigw_login_conf_t login;
} aigw_auth_dir_t;

void *aigw_auth_conf_server_create(apr_pool_t *p, server_rec *s);
void *aigw_auth_conf_server_merge(apr_pool_t *p, void *base, void *add);
void *aigw_auth_conf_dir_create(apr_pool_t *p, char *dir);
void *aigw_auth_conf_dir_merge(apr_pool_t *p, void *base, void *add);

extern const command_rec aigw_auth_conf_commands[];

/* The patterns of the models that the location of r gives; NULL: all. */
const apr_array_header_t *aigw_auth_conf_models(const ap_conf_vector_t *per_dir);

/* Those that <AIGWTier> gives to this one, or the default tier; NULL: all. */
const apr_array_header_t *aigw_auth_conf_tier_models(const server_rec *s, const aigw_identity_t *identity);

#endif
