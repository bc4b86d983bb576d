#include "issuer_conf.h"
#include "auth.h"
#include "auth_conf.h"
#include "issuer.h"
#include "material.h"
#include "aigw_names.h"

#include <http_core.h>
#include <apr_strings.h>

#define SKEW_DEFAULT apr_time_from_sec(60)

/* The section that is being read: directives inside find their issuer here. Configuration is read by one thread. */
static aigw_issuer_t *open_issuer;

static const char *inside(cmd_parms *cmd)
{
    return open_issuer ? NULL
                       : apr_pstrcat(cmd->pool, cmd->cmd->name, " stands inside <AIGWJwtIssuer name> ... </AIGWJwtIssuer> only", NULL);
}

static aigw_issuer_t *find_in(const apr_array_header_t *issuers, const char *name)
{
    int i;

    for (i = 0; issuers && i < issuers->nelts; i++) {
        aigw_issuer_t *issuer = APR_ARRAY_IDX(issuers, i, aigw_issuer_t *);

        if (!strcmp(issuer->name, name)) {
            return issuer;
        }
    }
    return NULL;
}

apr_array_header_t *aigw_issuer_conf_merge(apr_pool_t *p, apr_array_header_t *outer, apr_array_header_t *inner)
{
    apr_array_header_t *all;
    int i;

    if (!outer || !inner) {
        return inner ? inner : outer;
    }
    all = apr_array_copy(p, inner);
    for (i = 0; i < outer->nelts; i++) {
        aigw_issuer_t *issuer = APR_ARRAY_IDX(outer, i, aigw_issuer_t *);

        if (!find_in(inner, issuer->name)) {
            APR_ARRAY_PUSH(all, aigw_issuer_t *) = issuer;
        }
    }
    return all;
}

/* What nothing works without. */
static const char *complete(cmd_parms *cmd, const aigw_issuer_t *issuer)
{
    if (!issuer->keys && !issuer->sign_source) {
        return apr_psprintf(cmd->pool, "<AIGWJwtIssuer %s> has no key: add for example 'AIGWJwtKey jwks:https://issuer/jwks.json' inside",
                            issuer->name);
    }
    if (!issuer->audience_said) {
        return apr_psprintf(
            cmd->pool,
            "<AIGWJwtIssuer %s> has no audience, so a token that it made for another service would be good here: add 'AIGWJwtAudience "
            "name', or 'AIGWJwtAudience any' if that is meant",
            issuer->name);
    }
    if (issuer->sign_source && !issuer->keys && issuer->tier_map) {
        return apr_psprintf(cmd->pool,
                            "<AIGWJwtIssuer %s>: AIGWJwtTierMap is for tokens of others; what is signed here has its tier already",
                            issuer->name);
    }
    return NULL;
}

static aigw_issuer_t *make(cmd_parms *cmd, const char *name)
{
    aigw_issuer_t *issuer = apr_pcalloc(cmd->pool, sizeof *issuer);

    issuer->name = name;
    issuer->user_claim = "sub";
    issuer->tier_claim = "tier";
    issuer->scopes_claim = "scope";
    issuer->models_claim = "models";
    issuer->skew = SKEW_DEFAULT;
    issuer->defn_name = cmd->directive->filename;
    issuer->defn_line = (unsigned)cmd->directive->line_num;
    return issuer;
}

const char *aigw_issuer_conf_section(cmd_parms *cmd, void *dir, const char *args)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *end = ap_strrchr_c(args, '>'), *err = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT | NOT_IN_LIMIT), *name;
    aigw_issuer_t *issuer;

    if (err) {
        return err;
    }
    if (open_issuer) {
        return "<AIGWJwtIssuer> does not stand inside another <AIGWJwtIssuer>";
    }
    if (!end) {
        return "<AIGWJwtIssuer name> lacks its closing '>'";
    }
    args = apr_pstrmemdup(cmd->temp_pool, args, end - args);
    name = ap_getword_conf(cmd->pool, &args);
    if (!*name || *args) {
        return "<AIGWJwtIssuer> takes one name: the iss of its tokens, to the letter, such as https://login.example.com/";
    }
    if (find_in(conf->issuers, name)) {
        return apr_psprintf(cmd->pool, "<AIGWJwtIssuer %s>: there is one of this name already", name);
    }
    issuer = make(cmd, name);
    open_issuer = issuer;
    err = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    open_issuer = NULL;
    if (err || (err = complete(cmd, issuer)) != NULL) {
        return err;
    }
    if (!conf->issuers) {
        conf->issuers = apr_array_make(cmd->pool, 2, sizeof(aigw_issuer_t *));
    }
    APR_ARRAY_PUSH(conf->issuers, aigw_issuer_t *) = issuer;
    return NULL;
}

const char *aigw_issuer_conf_audience(cmd_parms *cmd, void *dir, const char *name)
{
    aigw_issuer_t *issuer = open_issuer;
    const char *err = inside(cmd);
    int any = !strcmp(name, "any");

    if (err) {
        return err;
    }
    if (issuer->audience_said && (any || !issuer->audiences)) {
        return "AIGWJwtAudience: \"any\" cannot stand beside names";
    }
    issuer->audience_said = 1;
    if (!any) {
        if (!issuer->audiences) {
            issuer->audiences = apr_array_make(cmd->pool, 2, sizeof(const char *));
        }
        APR_ARRAY_PUSH(issuer->audiences, const char *) = name;
    }
    return NULL;
}

const char *aigw_issuer_conf_algorithm(cmd_parms *cmd, void *dir, const char *name)
{
    const char *err = inside(cmd);
    unsigned alg = aigw_jws_alg(name);

    if (err) {
        return err;
    }
    if (!alg) {
        return apr_psprintf(cmd->pool, "AIGWJwtAlgorithms: \"%s\" is none of HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512", name);
    }
    open_issuer->algs |= alg;
    if ((open_issuer->algs & AIGW_JWS_HS) && (open_issuer->algs & ~AIGW_JWS_HS)) {
        return "AIGWJwtAlgorithms: HS256, HS384, HS512 are for a secret, the others for public keys. One issuer has either";
    }
    return NULL;
}

const char *aigw_issuer_conf_key(cmd_parms *cmd, void *dir, const char *source)
{
    const char *err = inside(cmd);

    if (err) {
        return err;
    }
    if (open_issuer->keys) {
        return "AIGWJwtKey: there is one already. A JWKS file (jwks:PATH) may hold several keys";
    }
    err = aigw_key_source_make(cmd->pool, source, &open_issuer->keys);
    return err ? apr_pstrcat(cmd->pool, "AIGWJwtKey: ", err, NULL) : NULL;
}

const char *aigw_issuer_conf_claim(cmd_parms *cmd, void *dir, const char *pair)
{
    const char *err = inside(cmd), *equals = ap_strchr_c(pair, '='), *claim;

    if (err) {
        return err;
    }
    if (!equals || !equals[1]) {
        return "AIGWJwtClaims: write what=claim, such as user=email scopes=scp tier=realm_access.roles";
    }
    claim = apr_pstrdup(cmd->pool, equals + 1);
    if (!strncmp(pair, "user=", 5)) {
        open_issuer->user_claim = claim;
    }
    else if (!strncmp(pair, "tier=", 5)) {
        open_issuer->tier_claim = claim;
    }
    else if (!strncmp(pair, "scopes=", 7)) {
        open_issuer->scopes_claim = claim;
    }
    else if (!strncmp(pair, "models=", 7)) {
        open_issuer->models_claim = claim;
    }
    else {
        return apr_psprintf(cmd->pool, "AIGWJwtClaims: \"%s\": what a claim can be for is user, tier, scopes or models", pair);
    }
    return NULL;
}

const char *aigw_issuer_conf_tier_map(cmd_parms *cmd, void *dir, const char *value, const char *tier)
{
    const char *err = inside(cmd);
    aigw_tier_map_t *row;

    if (err) {
        return err;
    }
    if (!open_issuer->tier_map) {
        open_issuer->tier_map = apr_array_make(cmd->pool, 4, sizeof(aigw_tier_map_t));
    }
    row = apr_array_push(open_issuer->tier_map);
    row->value = value;
    row->tier = tier;
    return NULL;
}

const char *aigw_issuer_conf_skew(cmd_parms *cmd, void *dir, const char *time)
{
    const char *err = inside(cmd);

    if (err) {
        return err;
    }
    if (ap_timeout_parameter_parse(time, &open_issuer->skew, "s") != APR_SUCCESS || open_issuer->skew < 0 ||
        open_issuer->skew > AIGW_ISSUER_SKEW_MAX) {
        return "AIGWJwtSkew: a time from 0s to 10min that the issuer's clock may differ, such as 60s";
    }
    return NULL;
}

const char *aigw_issuer_conf_sign(cmd_parms *cmd, void *dir, const char *source, const char *alg, const char *kid)
{
    const char *err = inside(cmd);

    if (err) {
        return err;
    }
    if (!aigw_material_is_source(source)) {
        return "AIGWJwtSign: where the private key or the secret is: file:PATH or env:NAME"; /* not repeated: it may be the secret itself */
    }
    if (open_issuer->sign_source) {
        return "AIGWJwtSign: there is one already";
    }
    if (alg && !aigw_jws_alg(alg)) {
        return apr_psprintf(cmd->pool, "AIGWJwtSign: \"%s\" is none of HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512", alg);
    }
    open_issuer->sign_source = source;
    open_issuer->sign_alg = alg ? aigw_jws_alg(alg) : 0;
    open_issuer->sign_kid = kid;
    return NULL;
}
