/* <AIGWJwtIssuer> and what stands in it. */
#ifndef AIGW_AUTH_ISSUER_CONF_H
#define AIGW_AUTH_ISSUER_CONF_H

#include <httpd.h>
#include <http_config.h>

const char *aigw_issuer_conf_section(cmd_parms *cmd, void *dir, const char *args);
const char *aigw_issuer_conf_audience(cmd_parms *cmd, void *dir, const char *name);
const char *aigw_issuer_conf_algorithm(cmd_parms *cmd, void *dir, const char *name);
const char *aigw_issuer_conf_key(cmd_parms *cmd, void *dir, const char *source);
const char *aigw_issuer_conf_claim(cmd_parms *cmd, void *dir, const char *pair);
const char *aigw_issuer_conf_tier_map(cmd_parms *cmd, void *dir, const char *value, const char *tier);
const char *aigw_issuer_conf_skew(cmd_parms *cmd, void *dir, const char *time);
const char *aigw_issuer_conf_sign(cmd_parms *cmd, void *dir, const char *source, const char *alg, const char *kid);

/* The issuers of a virtual host: its own, and the main server's of other names. aigw_issuer_t *. */
apr_array_header_t *aigw_issuer_conf_merge(apr_pool_t *p, apr_array_header_t *outer, apr_array_header_t *inner);

#endif
