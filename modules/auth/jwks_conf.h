/* Directives on the fetching of keys: AIGWJwks… */
#ifndef AIGW_AUTH_JWKS_CONF_H
#define AIGW_AUTH_JWKS_CONF_H

#include <httpd.h>
#include <http_config.h>

/* Of a server. In microseconds, -1: not said; the functions below say what holds. */
typedef struct aigw_jwks_conf_t {
    apr_interval_time_t ttl, stale, min_interval, timeout;
    const char *ca_file; /* absolute; NULL: the system's */
} aigw_jwks_conf_t;

void aigw_jwks_conf_init(aigw_jwks_conf_t *conf);
void aigw_jwks_conf_merge(aigw_jwks_conf_t *to, const aigw_jwks_conf_t *base, const aigw_jwks_conf_t *add);

/* The setters of the directives. cmd->info: which, AIGW_JWKS_*. */
typedef enum { AIGW_JWKS_TTL, AIGW_JWKS_STALE, AIGW_JWKS_MIN_INTERVAL, AIGW_JWKS_TIMEOUT } aigw_jwks_time_e;

const char *aigw_jwks_conf_set_time(cmd_parms *cmd, void *dummy, const char *arg);
const char *aigw_jwks_conf_set_ca_file(cmd_parms *cmd, void *dummy, const char *arg);

/* The configuration of s, with the defaults for what was not said. */
aigw_jwks_conf_t aigw_jwks_conf(const server_rec *s);

#endif
