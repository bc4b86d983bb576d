#include "jwks_conf.h"
#include "auth.h"
#include "auth_conf.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define UNSET (-1)

#define MERGE(to, base, add, member) (to)->member = (add)->member != UNSET ? (add)->member : (base)->member

void aigw_jwks_conf_init(aigw_jwks_conf_t *conf)
{
    conf->ttl = conf->stale = conf->min_interval = conf->timeout = UNSET;
    conf->ca_file = NULL;
}

void aigw_jwks_conf_merge(aigw_jwks_conf_t *to, const aigw_jwks_conf_t *base, const aigw_jwks_conf_t *add)
{
    const aigw_jwks_conf_t outer = *base, inner = *add; /* to may be one of them */

    MERGE(to, &outer, &inner, ttl);
    MERGE(to, &outer, &inner, stale);
    MERGE(to, &outer, &inner, min_interval);
    MERGE(to, &outer, &inner, timeout);
    to->ca_file = inner.ca_file ? inner.ca_file : outer.ca_file;
}

static const struct {
    const char *name;
    apr_interval_time_t least, most, normal; /* seconds */
    const char *words;
} times[] = {
    [AIGW_JWKS_TTL] = {"AIGWJwksTTL", 1, 7 * 86400, 3600, "1s to 7 days (168h), such as 1h"},
    [AIGW_JWKS_STALE] = {"AIGWJwksStale", 1, 90 * 86400, 86400, "1s to 90 days (2160h), such as 24h"},
    [AIGW_JWKS_MIN_INTERVAL] = {"AIGWJwksMinInterval", 1, 3600, 60, "1s to 1h, such as 60s"},
    [AIGW_JWKS_TIMEOUT] = {"AIGWJwksTimeout", 1, 60, 5, "1s to 60s, such as 5s"},
};

static apr_interval_time_t *member(aigw_jwks_conf_t *conf, aigw_jwks_time_e which)
{
    return which == AIGW_JWKS_TTL            ? &conf->ttl
           : which == AIGW_JWKS_STALE        ? &conf->stale
           : which == AIGW_JWKS_MIN_INTERVAL ? &conf->min_interval
                                             : &conf->timeout;
}

static aigw_jwks_conf_t *conf_of(const server_rec *s)
{
    aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);

    return &conf->jwks;
}

const char *aigw_jwks_conf_set_time(cmd_parms *cmd, void *dummy, const char *arg)
{
    const aigw_jwks_time_e which = (aigw_jwks_time_e)(apr_uintptr_t)cmd->info;
    apr_interval_time_t t;

    if (!apr_isdigit(*arg) || ap_timeout_parameter_parse(arg, &t, "s") != APR_SUCCESS || t < apr_time_from_sec(times[which].least) ||
        t > apr_time_from_sec(times[which].most)) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is no time from %s", times[which].name, arg, times[which].words);
    }
    *member(conf_of(cmd->server), which) = t;
    return NULL;
}

const char *aigw_jwks_conf_set_ca_file(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "AIGWJwksCAFile: \"%s\" is no path", arg);
    }
    conf_of(cmd->server)->ca_file = path;
    return NULL;
}

aigw_jwks_conf_t aigw_jwks_conf(const server_rec *s)
{
    aigw_jwks_conf_t conf = *conf_of(s);
    aigw_jwks_time_e which;

    for (which = AIGW_JWKS_TTL; which <= AIGW_JWKS_TIMEOUT; which++) {
        if (*member(&conf, which) == UNSET) {
            *member(&conf, which) = apr_time_from_sec(times[which].normal);
        }
    }
    if (conf.stale < conf.ttl) { /* nothing would be good between two fetches */
        conf.stale = conf.ttl;
    }
    return conf;
}
