/* Configuration of aigw-login, part of a location's: directives, merging. */
#ifndef AIGW_AUTH_LOGIN_CONF_H
#define AIGW_AUTH_LOGIN_CONF_H

#include <httpd.h>
#include <http_config.h>
#include <ap_expr.h>
#include <mod_auth.h>
#include "attempt.h"

typedef struct aigw_login_conf_t {
    authn_provider_list *providers; /* AIGWLoginProvider; NULL: not said */
    const char *issuer;             /* AIGWLoginIssuer; NULL: not said */
    apr_array_header_t *scopes;     /* AIGWLoginScope, const char *; NULL: not said */
    ap_expr_info_t *tier;           /* AIGWLoginTier; NULL: not said */
    apr_interval_time_t lifetime;   /* whole seconds; 0: not said */
    apr_interval_time_t floor;      /* 0: not said */
    aigw_attempt_limits_t *limits;  /* AIGWLoginThrottle; NULL: not said */
} aigw_login_conf_t;

void aigw_login_conf_merge(aigw_login_conf_t *conf, const aigw_login_conf_t *outer);

/* With what nobody has said filled in; in r->pool. providers may be NULL: mod_authn_file is not loaded. */
const aigw_login_conf_t *aigw_login_conf_get(request_rec *r);

/* check_config: the issuers that were named are there and can sign. 0, or the mistake has been logged. */
int aigw_login_conf_check(apr_pool_t *pconf);

/* directives */
const char *aigw_login_conf_provider(cmd_parms *cmd, void *dir, const char *name);
const char *aigw_login_conf_issuer(cmd_parms *cmd, void *dir, const char *name);
const char *aigw_login_conf_scope(cmd_parms *cmd, void *dir, const char *name);
const char *aigw_login_conf_tier(cmd_parms *cmd, void *dir, const char *expression);
const char *aigw_login_conf_lifetime(cmd_parms *cmd, void *dir, const char *time);
const char *aigw_login_conf_floor(cmd_parms *cmd, void *dir, const char *time);
const char *aigw_login_conf_throttle(cmd_parms *cmd, void *dir, const char *limit);
const char *aigw_login_conf_workers(cmd_parms *cmd, void *dir, const char *number);
const char *aigw_login_conf_revocations(cmd_parms *cmd, void *dir, const char *number);

#endif
