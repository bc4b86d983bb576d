#include "issuer.h"
#include "auth.h"
#include "auth_conf.h"
#include "material.h"
#include "aigw_names.h"

#include <http_log.h>
#include <apr_strings.h>
#include <openssl/crypto.h>

APLOG_USE_MODULE(aigw_auth);

aigw_issuer_t *aigw_issuer_find(const server_rec *s, const char *name)
{
    const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);
    int i;

    for (i = 0; name && conf->issuers && i < conf->issuers->nelts; i++) {
        aigw_issuer_t *issuer = APR_ARRAY_IDX(conf->issuers, i, aigw_issuer_t *);

        if (!strcmp(issuer->name, name)) {
            return issuer;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ keys */

static int wrong(const aigw_issuer_t *issuer, server_rec *s, const char *what, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0330: <AIGWJwtIssuer %s> (%s:%u): %s: %s", issuer->name, issuer->defn_name,
                 issuer->defn_line, what, why);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* The usual one of those that the key can do. */
static unsigned first_of(unsigned algs)
{
    return algs & (~algs + 1);
}

/* With the configuration goes the secret. */
static apr_status_t forget_sign_key(void *data)
{
    aigw_issuer_t *issuer = data;

    OPENSSL_cleanse((char *)issuer->sign_key.material, issuer->sign_key.len);
    issuer->sign_key.algs = issuer->own_key.algs = 0;
    return APR_SUCCESS;
}

static const char *read_sign_key(aigw_issuer_t *issuer, apr_pool_t *p)
{
    const char *text, *fault;
    apr_size_t len;

    if ((fault = aigw_material_read(p, issuer->sign_source, &text, &len)) != NULL) {
        return fault;
    }
    if (aigw_jws_is_pem(text, len)) {
        if ((fault = aigw_jws_private(p, text, len, &issuer->sign_key)) == NULL) {
            fault = aigw_jws_public(p, text, len, &issuer->own_key);
        }
    }
    else {
        fault = aigw_jws_secret(p, text, len, &issuer->sign_key);
        issuer->own_key = issuer->sign_key;
    }
    OPENSSL_cleanse((char *)text, len); /* the keys have copies */
    if (fault) {
        return fault;
    }
    apr_pool_cleanup_register(p, issuer, forget_sign_key, apr_pool_cleanup_null);
    if (!issuer->sign_alg) {
        issuer->sign_alg = first_of(issuer->sign_key.algs);
    }
    issuer->sign_key.kid = issuer->sign_kid;
    return issuer->sign_alg & issuer->sign_key.algs ? NULL : "this key cannot sign with this algorithm";
}

int aigw_issuer_load(aigw_issuer_t *issuer, server_rec *s, apr_pool_t *pconf)
{
    unsigned able = 0;
    const char *fault, *path;

    if (issuer->loaded) { /* virtual hosts share the main server's */
        return 0;
    }
    issuer->loaded = 1;
    if (issuer->sign_source && (fault = read_sign_key(issuer, pconf)) != NULL) {
        return wrong(issuer, s, apr_pstrcat(pconf, "AIGWJwtSign ", issuer->sign_source, NULL), fault);
    }
    if (issuer->sign_source && (path = aigw_material_path(pconf, issuer->sign_source)) != NULL) {
        aigw_material_warn_if_open(path, s, pconf);
    }
    if (!issuer->keys) {
        able = issuer->sign_alg;
    }
    else if (aigw_key_source_load(issuer->keys, s, pconf, &able)) {
        return wrong(issuer, s, "AIGWJwtKey", "its keys cannot be read");
    }
    if (issuer->algs && !(issuer->algs & able)) {
        return wrong(issuer, s, "AIGWJwtAlgorithms",
                     "none of these fits the key: HS256 is for a secret, RS256 for an RSA key, ES256 for a P-256 key");
    }
    if ((able & AIGW_JWS_HS) && (able & ~AIGW_JWS_HS) && !issuer->algs) {
        return wrong(issuer, s, "AIGWJwtKey", "it has secrets and public keys: say with AIGWJwtAlgorithms which of both are used");
    }
    issuer->algs = issuer->algs ? issuer->algs & able : able;
    if (issuer->sign_alg && !(issuer->sign_alg & issuer->algs)) {
        return wrong(issuer, s, "AIGWJwtSign", "its own tokens would be refused: AIGWJwtKey and AIGWJwtAlgorithms have no key for them");
    }
    return 0;
}

aigw_keys_e aigw_issuer_keys(const aigw_issuer_t *issuer, server_rec *s, const char *kid, unsigned alg, apr_pool_t *p,
                             aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count)
{
    if (issuer->keys) {
        return aigw_key_source_find(issuer->keys, s, kid, alg, p, keys, count);
    }
    keys[0] = issuer->own_key;
    *count = 1;
    return AIGW_KEYS_FOUND;
}

/* ------------------------------------------------------------------ claims */

static const char *map_tier(const aigw_issuer_t *issuer, const json_t *claim, apr_pool_t *p)
{
    const apr_array_header_t *names;
    int i;

    if (!issuer->tier_map) {
        return aigw_jwt_name(p, claim);
    }
    names = aigw_jwt_names(p, claim);
    for (i = 0; i < issuer->tier_map->nelts; i++) {
        const aigw_tier_map_t *row = &APR_ARRAY_IDX(issuer->tier_map, i, aigw_tier_map_t);

        if (!strcmp(row->value, "*") || aigw_names_have(names, row->value)) {
            return row->tier;
        }
    }
    return NULL;
}

const char *aigw_issuer_identity(const aigw_issuer_t *issuer, const json_t *claims, apr_pool_t *p, aigw_identity_t *identity)
{
    const json_t *models = aigw_jwt_claim(claims, issuer->models_claim);

    memset(identity, 0, sizeof *identity);
    identity->user = aigw_jwt_name(p, aigw_jwt_claim(claims, issuer->user_claim));
    if (!identity->user) {
        return "it has no claim that names its user";
    }
    identity->tier = map_tier(issuer, aigw_jwt_claim(claims, issuer->tier_claim), p);
    identity->scopes = aigw_jwt_names(p, aigw_jwt_claim(claims, issuer->scopes_claim));
    identity->method = AIGW_AUTH_JWT;
    identity->key_id = aigw_jwt_name(p, json_object_get(claims, "jti"));
    if (models && !json_is_null(models) && (identity->models = aigw_jwt_names(p, models)) == NULL) {
        return "its claim of models is neither a list nor a string"; /* none would be all */
    }
    return NULL;
}

/* ------------------------------------------------------------------ signing */

char *aigw_issuer_sign(const aigw_issuer_t *issuer, json_t *claims, apr_pool_t *p)
{
    if (!issuer->sign_key.algs || json_object_set_new(claims, "iss", json_string(issuer->name)) ||
        (issuer->audiences && json_object_set_new(claims, "aud", json_string(APR_ARRAY_IDX(issuer->audiences, 0, const char *))))) {
        return NULL;
    }
    return aigw_jws_sign(p, claims, issuer->sign_alg, &issuer->sign_key);
}
