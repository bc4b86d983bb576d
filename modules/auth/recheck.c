#include "recheck.h"
#include "auth.h"
#include "auth_conf.h"
#include "issuer.h"
#include "key_store.h"
#include "revocations.h"
#include "tiers.h"
#include "aigw_identity.h"
#include "aigw_names.h"

static const aigw_error_t *refuse(apr_pool_t *p, int status, const char *code, const char *message)
{
    return aigw_auth_core->error_make(p, status, code, NULL, "%s", message);
}

/* What it had and has not got any more may be what let it in. */
static int has_less(const apr_array_header_t *before, const apr_array_header_t *now)
{
    int i;

    for (i = 0; before && i < before->nelts; i++) {
        if (!aigw_names_have(now, APR_ARRAY_IDX(before, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

static const aigw_error_t *recheck_key(server_rec *s, apr_pool_t *p, aigw_identity_t *identity)
{
    const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);
    aigw_identity_t now = {0};
    const aigw_key_e found =
        conf->keys && identity->key_id ? aigw_key_store_named(conf->keys, identity->key_id, p, &now) : AIGW_KEY_UNKNOWN;

    if (found == AIGW_KEY_DISABLED) {
        return refuse(p, HTTP_UNAUTHORIZED, "invalid_api_key", "The API key that this was asked with has been disabled since.");
    }
    if (found != AIGW_KEY_GOOD || !identity->user || strcmp(now.user, identity->user)) {
        return refuse(p, HTTP_UNAUTHORIZED, "invalid_api_key", "The API key that this was asked with is not known any more.");
    }
    if (has_less(identity->scopes, now.scopes)) {
        return refuse(p, HTTP_FORBIDDEN, "insufficient_scope", "The API key that this was asked with has lost a scope since.");
    }
    now.tier_listed = !now.tier;
    *identity = now;
    return NULL;
}

static const aigw_error_t *recheck_token(server_rec *s, apr_pool_t *p, const aigw_identity_t *identity)
{
    if (!identity->issuer || !aigw_issuer_find(s, identity->issuer)) {
        return refuse(p, HTTP_UNAUTHORIZED, "invalid_token", "The issuer of the token that this was asked with is not trusted any more.");
    }
    switch (aigw_revocations_find(s, p, identity->issuer, identity->key_id, apr_time_now())) {
    case AIGW_REVOCATION_NONE:
        return NULL;
    case AIGW_REVOCATION_FOUND:
        return refuse(p, HTTP_UNAUTHORIZED, "invalid_token", "The token that this was asked with has been logged out since.");
    default:
        return refuse(p, HTTP_SERVICE_UNAVAILABLE, "store_unavailable",
                      "Whether the token that this was asked with has been logged out cannot be looked up now.");
    }
}

static const aigw_error_t *aigw_identity_recheck(server_rec *s, apr_pool_t *p, aigw_identity_t *identity)
{
    const char *method = identity->method ? identity->method : "";
    const aigw_error_t *error = !strcmp(method, AIGW_AUTH_API_KEY) ? recheck_key(s, p, identity)
                                : !strcmp(method, AIGW_AUTH_JWT)   ? recheck_token(s, p, identity)
                                                                   : NULL;

    if (!error && identity->tier_listed) {
        identity->tier = aigw_tiers_find(s, p, identity->user);
    }
    return error;
}

void aigw_recheck_register(void)
{
    APR_REGISTER_OPTIONAL_FN(aigw_identity_recheck);
}
