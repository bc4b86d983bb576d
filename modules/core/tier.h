/* <AIGWTier>: what users of a tier have. It is a section like <Location>: directives of any module may stand inside that says it looks for them
 * (AIGW_TIER_DIRECTIVE in aigw.h), and each asks for its own. */
#ifndef AIGW_CORE_TIER_H
#define AIGW_CORE_TIER_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_request.h"

/* Names those of the core's own directives that hold for a tier (AIGW_TIER_DIRECTIVE). */
void aigw_tier_register(apr_pool_t *p);

const char *aigw_tier_section(cmd_parms *cmd, void *dir, const char *args);

/* A virtual host's tiers, then those of the main server of other names. Either may be NULL. */
apr_array_header_t *aigw_tier_merge(apr_pool_t *p, const apr_array_header_t *base, const apr_array_header_t *add);

/* Once the configuration is read: APR_SUCCESS, or APR_EGENERAL after a numbered line: AIGWDefaultTier names none there is. */
apr_status_t aigw_tier_check(server_rec *main_server);

/* See aigw_core_t. */
const char *aigw_tier_name(const server_rec *s, const aigw_identity_t *identity);
const ap_conf_vector_t *aigw_tier_conf(const server_rec *s, const char *name);

#endif
