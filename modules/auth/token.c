#include "token.h"
#include "auth.h"
#include "auth_conf.h"
#include "issuer.h"
#include "revocations.h"
#include "aigw_api_key.h"
#include "aigw_claims_cache.h"
#include "aigw_jwt.h"
#include "aigw_text.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

#define SHOWN_ISSUER 200 /* characters of a name that is not ours */

/* The child's; made before there are requests. NULL: AIGWTokenCache 0, or no memory for it. */
static aigw_claims_cache_t *verified;
static apr_interval_time_t keep_time;

static apr_status_t forget(void *dummy)
{
    verified = NULL;
    return APR_SUCCESS;
}

void aigw_token_child_init(apr_pool_t *pchild, server_rec *s)
{
    const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);

    keep_time = conf->cache_time;
    if (conf->cache_entries > 0) {
        verified = aigw_claims_cache_make(pchild, conf->cache_entries);
        apr_pool_cleanup_register(pchild, NULL, forget, apr_pool_cleanup_null);
    }
}

/* ------------------------------------------------------------------ verifying */

static aigw_token_e bad(request_rec *r, const aigw_issuer_t *issuer, const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0331: a token%s%s is refused: %s", issuer ? " of " : "", issuer ? issuer->name : "",
                  why);
    return AIGW_TOKEN_BAD;
}

/* By one of the keys that are for it. */
static aigw_token_e check_signature(request_rec *r, const aigw_issuer_t *issuer, const aigw_jwt_t *jwt)
{
    aigw_jws_key_t keys[AIGW_KEYS_TRIED];
    int count = 0, i;

    if (!(jwt->alg & issuer->algs)) {
        return bad(r, issuer, "its algorithm is not one that is configured for this issuer");
    }
    switch (aigw_issuer_keys(issuer, r->server, jwt->kid, jwt->alg, r->pool, keys, &count)) {
    case AIGW_KEYS_FOUND:
        break;
    case AIGW_KEYS_NONE:
        return bad(r, issuer, "the issuer has no such key");
    default:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0333: a token of %s cannot be verified now: the issuer's keys cannot be had",
                      issuer->name);
        return AIGW_TOKEN_UNAVAILABLE;
    }
    for (i = 0; i < count; i++) {
        if (aigw_jws_verify(jwt->text, jwt->alg, &keys[i])) {
            return AIGW_TOKEN_GOOD;
        }
    }
    return bad(r, issuer, "its signature is not the issuer's");
}

static const char *time_fault(aigw_jwt_e found)
{
    return found == AIGW_JWT_EARLY      ? "it is not valid yet (nbf or iat): do the clocks agree?"
           : found == AIGW_JWT_TIMELESS ? "it has no time at which it expires (exp)"
                                        : "it is for another audience (aud)";
}

/* What the claims say now. The signature is good. */
static aigw_token_e check_claims(request_rec *r, const aigw_issuer_t *issuer, const json_t *claims, apr_time_t now, aigw_token_t *token)
{
    const aigw_jwt_rules_t rules = {issuer->audiences, issuer->skew, now};
    apr_time_t expires;
    aigw_jwt_e found = aigw_jwt_check(claims, &rules, &expires);
    const char *fault;

    if (found == AIGW_JWT_EXPIRED) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0332: a token of %s has expired", issuer->name);
        return AIGW_TOKEN_EXPIRED;
    }
    if (found != AIGW_JWT_GOOD) {
        return bad(r, issuer, time_fault(found));
    }
    if ((fault = aigw_issuer_identity(issuer, claims, r->pool, &token->identity)) != NULL) {
        return bad(r, issuer, fault);
    }
    token->issuer = issuer->name;
    token->jti = apr_pstrdup(r->pool, json_string_value(json_object_get(claims, "jti")));
    token->identity.expires = expires;
    token->identity.issuer = issuer->name;
    token->dead = expires + issuer->skew;
    switch (aigw_revocations_find(r->server, r->pool, token->issuer, token->jti, now)) {
    case AIGW_REVOCATION_NONE:
        return AIGW_TOKEN_GOOD;
    case AIGW_REVOCATION_FOUND:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0334: a token of %s is refused: it was logged out", issuer->name);
        return AIGW_TOKEN_REVOKED;
    default:
        return AIGW_TOKEN_UNAVAILABLE;
    }
}

static aigw_token_e verify(request_rec *r, const char *text, apr_size_t len, const unsigned char *digest, apr_time_t now,
                           aigw_token_t *token)
{
    const aigw_issuer_t *issuer;
    aigw_jwt_t jwt;
    const char *fault = aigw_jwt_parse(r->pool, text, len, &jwt);
    aigw_token_e found;

    if (fault) {
        return bad(r, NULL, fault);
    }
    issuer = aigw_issuer_find(r->server, jwt.issuer);
    if (!issuer) {
        return bad(r, NULL,
                   jwt.issuer ? apr_pstrcat(r->pool, "no <AIGWJwtIssuer> has the name of its issuer (iss), ",
                                            aigw_text_shown(r->pool, jwt.issuer, SHOWN_ISSUER), NULL)
                              : "it does not name its issuer (iss)");
    }
    found = check_signature(r, issuer, &jwt);
    if (found != AIGW_TOKEN_GOOD) {
        return found;
    }
    found = check_claims(r, issuer, jwt.claims, now, token);
    if (found == AIGW_TOKEN_GOOD && verified) {
        aigw_claims_cache_add(verified, digest, now, now + keep_time < token->dead ? now + keep_time : token->dead, jwt.claims, issuer);
    }
    return found;
}

aigw_token_e aigw_token_verify(request_rec *r, const char *text, apr_size_t len, apr_time_t now, aigw_token_t *token)
{
    unsigned char digest[AIGW_SHA256];
    const void *issuer = NULL;
    json_t *claims = NULL;
    aigw_token_e found;

    memset(token, 0, sizeof *token);
    if (aigw_api_key_digest(text, len, digest) != APR_SUCCESS) {
        return bad(r, NULL, "OpenSSL cannot hash it");
    }
    if (verified) {
        claims = aigw_claims_cache_find(verified, digest, now, &issuer);
    }
    /* another virtual host may have another issuer of this name, or none */
    if (claims && issuer == aigw_issuer_find(r->server, json_string_value(json_object_get(claims, "iss")))) {
        found = check_claims(r, issuer, claims, now, token);
    }
    else {
        found = verify(r, text, len, digest, now, token);
    }
    json_decref(claims);
    return found;
}
