#include "auth_conf.h"
#include "auth.h"
#include "issuer_conf.h"
#include "revocations_redis.h"
#include "tiers.h"

#include <apr_strings.h>

#define CACHE_ENTRIES     4096
#define CACHE_ENTRIES_MAX 1000000
#define CACHE_TIME        apr_time_from_sec(300)
#define CACHE_TIME_MAX    apr_time_from_sec(3600)

void *aigw_auth_conf_server_create(apr_pool_t *p, server_rec *s)
{
    aigw_auth_server_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->cache_entries = CACHE_ENTRIES;
    conf->cache_time = CACHE_TIME;
    aigw_jwks_conf_init(&conf->jwks);
    return conf;
}

void *aigw_auth_conf_server_merge(apr_pool_t *p, void *base, void *add)
{
    const aigw_auth_server_t *outer = base, *inner = add;
    aigw_auth_server_t *conf = apr_pmemdup(p, inner, sizeof *conf);

    if (!inner->keys) {
        conf->keys = outer->keys;
    }
    if (!inner->tiers) {
        conf->tiers = outer->tiers;
    }
    conf->issuers = aigw_issuer_conf_merge(p, outer->issuers, inner->issuers);
    aigw_jwks_conf_merge(&conf->jwks, &outer->jwks, &inner->jwks);
    return conf;
}

void *aigw_auth_conf_dir_create(apr_pool_t *p, char *dir)
{
    return apr_pcalloc(p, sizeof(aigw_auth_dir_t));
}

void *aigw_auth_conf_dir_merge(apr_pool_t *p, void *base, void *add)
{
    const aigw_auth_dir_t *outer = base, *inner = add;
    aigw_auth_dir_t *conf = apr_pmemdup(p, inner, sizeof *conf);

    if (!inner->models) {
        conf->models = outer->models;
    }
    aigw_cors_merge(&conf->cors, &outer->cors);
    aigw_login_conf_merge(&conf->login, &outer->login);
    return conf;
}

const apr_array_header_t *aigw_auth_conf_models(const ap_conf_vector_t *per_dir)
{
    const aigw_auth_dir_t *conf = ap_get_module_config(per_dir, &aigw_auth_module);

    return conf && conf->models && conf->models->nelts ? conf->models : NULL;
}

const apr_array_header_t *aigw_auth_conf_tier_models(const server_rec *s, const aigw_identity_t *identity)
{
    const ap_conf_vector_t *tier = aigw_auth_core->tier_conf(s, aigw_auth_core->tier_name(s, identity));

    return tier ? aigw_auth_conf_models(tier) : NULL;
}

static const char *set_key_file(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "AIGWKeyFile: \"%s\" is no path", arg);
    }
    if (conf->keys) {
        return apr_psprintf(cmd->pool, "AIGWKeyFile: there is one already here, %s. Put all keys in one file",
                            aigw_key_store_path(conf->keys));
    }
    conf->keys = aigw_key_store_make(cmd->pool, path);
    return NULL;
}

static const char *set_token_cache(cmd_parms *cmd, void *dummy, const char *entries, const char *time)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char *end;
    apr_int64_t n = apr_strtoi64(entries, &end, 10);

    if (err) {
        return err;
    }
    if (*end || end == entries || n < 0 || n > CACHE_ENTRIES_MAX) {
        return "AIGWTokenCache: how many tokens a child remembers, 0 to 1000000";
    }
    if (time && (ap_timeout_parameter_parse(time, &conf->cache_time, "s") != APR_SUCCESS || conf->cache_time <= 0 ||
                 conf->cache_time > CACHE_TIME_MAX)) {
        return "AIGWTokenCache: after how long a token is verified again at the latest, up to 1h, such as 5min";
    }
    conf->cache_entries = (int)n;
    return NULL;
}

static const char *add_models(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_dir_t *conf = dir;

    if (!strcasecmp(arg, "all")) {
        if (conf->models && conf->models->nelts) {
            return "AIGWAllowModels: \"all\" cannot stand beside names of models";
        }
        conf->models = apr_array_make(cmd->pool, 0, sizeof(const char *));
        return NULL;
    }
    if (conf->models && !conf->models->nelts) {
        return "AIGWAllowModels: \"all\" cannot stand beside names of models";
    }
    if (!conf->models) {
        conf->models = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(conf->models, const char *) = apr_pstrdup(cmd->pool, arg);
    return NULL;
}

const command_rec aigw_auth_conf_commands[] = {
    AP_INIT_TAKE1("AIGWKeyFile", set_key_file, NULL, RSRC_CONF, "the file of the API keys, a JSON object a line; aigw-key makes them"),
    AP_INIT_ITERATE("AIGWAllowModels", add_models, NULL, RSRC_CONF | ACCESS_CONF,
                    "names or patterns (gpt-4*) of the models that may be used here, whoever asks; or all"),
    AP_INIT_TAKE12("AIGWTokenCache", set_token_cache, NULL, RSRC_CONF,
                   "how many verified tokens a child remembers, and for how long at most"),
    AP_INIT_RAW_ARGS("<AIGWJwtIssuer", aigw_issuer_conf_section, NULL, RSRC_CONF, "the iss of its tokens"),
    AP_INIT_ITERATE("AIGWJwtAudience", aigw_issuer_conf_audience, NULL, RSRC_CONF, "whom its tokens must be for: names, or any"),
    AP_INIT_ITERATE("AIGWJwtAlgorithms", aigw_issuer_conf_algorithm, NULL, RSRC_CONF,
                    "with what its tokens may be signed: RS256 ES256 ..."),
    AP_INIT_TAKE1("AIGWJwtKey", aigw_issuer_conf_key, NULL, RSRC_CONF, "its key: file:PATH, env:NAME, jwks:PATH or jwks:https://..."),
    AP_INIT_ITERATE("AIGWJwtClaims", aigw_issuer_conf_claim, NULL, RSRC_CONF,
                    "what its claims are called: user=sub tier=tier scopes=scope models=models"),
    AP_INIT_TAKE2("AIGWJwtTierMap", aigw_issuer_conf_tier_map, NULL, RSRC_CONF, "a value of the tier's claim, or *, and the tier it means"),
    AP_INIT_TAKE1("AIGWJwtSkew", aigw_issuer_conf_skew, NULL, RSRC_CONF, "how much its clock may differ"),
    AP_INIT_TAKE123("AIGWJwtSign", aigw_issuer_conf_sign, NULL, RSRC_CONF,
                    "to issue tokens: a private key or secret as file:PATH or env:NAME, the algorithm, the kid"),
    AP_INIT_TAKE1("AIGWJwksTTL", aigw_jwks_conf_set_time, (void *)AIGW_JWKS_TTL, RSRC_CONF,
                  "how often the keys of an address are fetched anew: 1h"),
    AP_INIT_TAKE1("AIGWJwksStale", aigw_jwks_conf_set_time, (void *)AIGW_JWKS_STALE, RSRC_CONF,
                  "how long keys are used that an issuer gave last, while it does not answer: 24h"),
    AP_INIT_TAKE1("AIGWJwksMinInterval", aigw_jwks_conf_set_time, (void *)AIGW_JWKS_MIN_INTERVAL, RSRC_CONF,
                  "how long an unknown kid brings about no fetch after one that did: 60s"),
    AP_INIT_TAKE1("AIGWJwksTimeout", aigw_jwks_conf_set_time, (void *)AIGW_JWKS_TIMEOUT, RSRC_CONF, "how long a fetch may take: 5s"),
    AP_INIT_TAKE1("AIGWJwksCAFile", aigw_jwks_conf_set_ca_file, NULL, RSRC_CONF,
                  "the certificates, in PEM, that issuers' addresses are verified with instead of the system's"),
    AP_INIT_ITERATE("AIGWCorsOrigin", aigw_cors_add_origin, NULL, RSRC_CONF | ACCESS_CONF,
                    "origins (https://app.example.com, https://*.example.com) whose pages may use what is here; * or none"),
    AP_INIT_FLAG("AIGWCorsCredentials", aigw_cors_set_credentials, NULL, RSRC_CONF | ACCESS_CONF,
                 "on: those pages may send cookies and the like along"),
    AP_INIT_TAKE1("AIGWTierFile", aigw_tiers_set, NULL, RSRC_CONF, "who is in which tier, as in a group file of httpd: \"pro: alice bob\""),
    AP_INIT_TAKE1("AIGWRevocations", aigw_login_conf_revocations, NULL, RSRC_CONF,
                  "how many tokens that were logged out there is room for"),
    AP_INIT_TAKE1("AIGWRevocationStore", aigw_revocations_redis_set, NULL, RSRC_CONF,
                  "where tokens that were logged out are known: memory, of this machine, or redis, of all"),
    AP_INIT_ITERATE("AIGWLoginProvider", aigw_login_conf_provider, NULL, RSRC_CONF | ACCESS_CONF,
                    "httpd's authn providers that check passwords: file, dbd, ldap, socache ..."),
    AP_INIT_TAKE1("AIGWLoginIssuer", aigw_login_conf_issuer, NULL, RSRC_CONF | ACCESS_CONF, "the <AIGWJwtIssuer> that signs the tokens"),
    AP_INIT_TAKE1("AIGWLoginLifetime", aigw_login_conf_lifetime, NULL, RSRC_CONF | ACCESS_CONF, "how long a token is good: 30min"),
    AP_INIT_ITERATE("AIGWLoginScope", aigw_login_conf_scope, NULL, RSRC_CONF | ACCESS_CONF, "the scopes of the tokens"),
    AP_INIT_TAKE1("AIGWLoginTier", aigw_login_conf_tier, NULL, RSRC_CONF | ACCESS_CONF,
                  "an expression that is the tier of users who are not in AIGWTierFile: %{reqenv:AUTHENTICATE_TIER}"),
    AP_INIT_TAKE1("AIGWLoginFloor", aigw_login_conf_floor, NULL, RSRC_CONF | ACCESS_CONF, "no login is answered before: 500ms"),
    AP_INIT_ITERATE("AIGWLoginThrottle", aigw_login_conf_throttle, NULL, RSRC_CONF | ACCESS_CONF,
                    "how many may fail: pair=5/15min address=20/15min user=50/15min; or off"),
    AP_INIT_TAKE1("AIGWLoginWorkers", aigw_login_conf_workers, NULL, RSRC_CONF, "how many may log in at the same time"),
    {.name = NULL}};
