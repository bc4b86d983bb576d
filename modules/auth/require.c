#include "require.h"
#include "auth.h"
#include "auth_conf.h"
#include "refuse.h"
#include "tiers.h"
#include "aigw_names.h"

#include <ap_provider.h>
#include <http_config.h>
#include <http_request.h>
#include <mod_auth.h>
#include <apr_strings.h>

/* The words of the line: an array of const char *. */
static const char *parse_words(cmd_parms *cmd, const char *line, const void **parsed)
{
    apr_array_header_t *words = apr_array_make(cmd->pool, 4, sizeof(const char *));
    const char *word;

    while (*(word = ap_getword_conf(cmd->pool, &line))) {
        APR_ARRAY_PUSH(words, const char *) = word;
    }
    *parsed = words;
    return words->nelts ? NULL
                        : "Require aigw-tier, aigw-scope and aigw-model need at least one name, such as: Require aigw-tier pro enterprise";
}

static const aigw_identity_t *who(request_rec *r)
{
    return &aigw_auth_core->request(r)->identity;
}

/* One that httpd knows by another AuthType has no scopes, and the tier that AIGWTierFile says. */
static authz_status unknown(request_rec *r)
{
    return r->user ? AUTHZ_DENIED : AUTHZ_DENIED_NO_USER;
}

static authz_status check_tier(request_rec *r, const char *line, const void *parsed)
{
    const aigw_identity_t *identity = who(r);
    const char *tier;

    if (!identity->user) {
        tier = r->user ? aigw_tiers_find(r->server, r->pool, r->user) : NULL;
        return tier && aigw_names_have(parsed, tier) ? AUTHZ_GRANTED : unknown(r);
    }
    if (identity->tier && aigw_names_have(parsed, identity->tier)) {
        return AUTHZ_GRANTED;
    }
    aigw_refuse_note(r, NULL, "Your tier does not include this resource.");
    return AUTHZ_DENIED;
}

static authz_status check_scope(request_rec *r, const char *line, const void *parsed)
{
    const aigw_identity_t *identity = who(r);
    const apr_array_header_t *words = parsed;
    int i;

    if (!identity->user) {
        return unknown(r);
    }
    for (i = 0; i < words->nelts; i++) {
        if (aigw_names_have(identity->scopes, APR_ARRAY_IDX(words, i, const char *))) {
            return AUTHZ_GRANTED;
        }
    }
    aigw_refuse_note(r, "insufficient_scope", "Your credential does not have the scope that this resource needs.");
    return AUTHZ_DENIED;
}

static authz_status check_model(request_rec *r, const char *line, const void *parsed)
{
    const aigw_identity_t *identity = who(r);
    const apr_array_header_t *words = parsed, *tier = aigw_auth_conf_tier_models(r->server, identity);
    int i;

    if (!identity->user) {
        return unknown(r);
    }
    for (i = 0; i < words->nelts; i++) {
        const char *word = APR_ARRAY_IDX(words, i, const char *);
        const aigw_model_t *model = aigw_auth_core->model_find(r->server, word);
        const char *name = model ? model->name : word;

        if (aigw_names_allow(identity->models, name) && aigw_names_allow(tier, name)) {
            return AUTHZ_GRANTED;
        }
    }
    aigw_refuse_note(r, "model_not_allowed", "You may not use the model that this resource needs.");
    return AUTHZ_DENIED;
}

void aigw_require_register(apr_pool_t *p)
{
    static const authz_provider tier = {check_tier, parse_words}, scope = {check_scope, parse_words}, model = {check_model, parse_words};

    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "aigw-tier", AUTHZ_PROVIDER_VERSION, &tier, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "aigw-scope", AUTHZ_PROVIDER_VERSION, &scope, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "aigw-model", AUTHZ_PROVIDER_VERSION, &model, AP_AUTH_INTERNAL_PER_CONF);
}
