#include "revocations_redis.h"
#include "auth.h"
#include "auth_conf.h"

#include <http_config.h>
#include <http_log.h>
#include <apr_escape.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

static aigw_redis_t *redis; /* set before there are children; NULL: this machine alone */

/* ------------------------------------------------------------------ configuration */

const char *aigw_revocations_redis_set(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (err) {
        return err;
    }
    if (strcmp(arg, "memory") && strcmp(arg, "redis")) {
        return apr_psprintf(cmd->pool, "AIGWRevocationStore: \"%s\" is neither memory nor redis", arg);
    }
    conf->revocations_redis = arg[0] == 'r';
    return NULL;
}

static int is_wanted(const server_rec *main_server)
{
    return ((const aigw_auth_server_t *)ap_get_module_config(main_server->module_config, &aigw_auth_module))->revocations_redis;
}

int aigw_revocations_redis_check(server_rec *main_server)
{
    if (is_wanted(main_server) && !aigw_auth_core->redis()) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, main_server,
                     "AIGW0380: AIGWRevocationStore redis: there is no Redis: say where it is (AIGWRedis redis://host:port), or memory");
        return -1;
    }
    return 0;
}

void aigw_revocations_redis_post_config(server_rec *main_server)
{
    redis = is_wanted(main_server) ? aigw_auth_core->redis() : NULL;
}

int aigw_revocations_redis_holds(void)
{
    return redis != NULL;
}

/* ------------------------------------------------------------------ questions */

static const char *key_of(apr_pool_t *p, const unsigned char *id)
{
    return apr_pstrcat(p, aigw_auth_core->redis_vt->prefix(redis), "revoked:", apr_pescape_hex(p, id, AIGW_REVOKED_ID, 0), NULL);
}

/* What Redis says to a command, which must be of this kind; else *why. */
static const aigw_redis_reply_t *ask(apr_pool_t *p, int argc, const char *const *argv, aigw_redis_reply_e kind, apr_status_t *rv,
                                     const char **why)
{
    const aigw_redis_reply_t *reply = NULL;

    *rv = aigw_auth_core->redis_vt->command(redis, p, argc, argv, NULL, &reply);
    *why = *rv != APR_SUCCESS                ? "it does not answer"
           : reply->kind == AIGW_REDIS_ERROR ? reply->data
                                             : "it says something else than was asked";
    return *rv == APR_SUCCESS && reply->kind == kind ? reply : NULL;
}

apr_status_t aigw_revocations_redis_add(request_rec *r, const unsigned char id[AIGW_REVOKED_ID], apr_time_t expires, apr_time_t now)
{
    /* how long, not until when: its clock may differ */
    const char *ms = apr_psprintf(r->pool, "%" APR_TIME_T_FMT, expires > now ? apr_time_as_msec(expires - now) + 1 : 1);
    const char *argv[] = {"SET", key_of(r->pool, id), "1", "PX", ms}, *why;
    apr_status_t rv;

    if (ask(r->pool, 5, argv, AIGW_REDIS_STRING, &rv, &why)) {
        return APR_SUCCESS;
    }
    if (aigw_auth_core->redis_vt->failure(redis) == AIGW_REDIS_FAILURE_CLOSED) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, "AIGW0382: a token could not be logged out: Redis cannot keep it: %s", why);
        return rv != APR_SUCCESS ? rv : APR_EGENERAL;
    }
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, rv, r,
                  "AIGW0381: a token is logged out on this machine alone, and good on others until it expires: Redis cannot keep it: %s",
                  why);
    return APR_SUCCESS;
}

int aigw_revocations_redis_have(server_rec *s, apr_pool_t *p, const unsigned char id[AIGW_REVOKED_ID], apr_time_t now, apr_time_t *expires)
{
    const char *argv[] = {"PTTL", key_of(p, id)}, *why;
    const aigw_redis_reply_t *reply;
    apr_status_t rv;

    if ((reply = ask(p, 2, argv, AIGW_REDIS_INTEGER, &rv, &why)) != NULL) {
        *expires = now + apr_time_from_msec(reply->integer > 0 ? reply->integer : 0);
        return reply->integer != -2; /* -2: there is no such key; -1: it has no end, which none of ours is like */
    }
    if (aigw_auth_core->redis_vt->failure(redis) != AIGW_REDIS_FAILURE_CLOSED) {
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, rv, s,
                 "AIGW0383: a token cannot be verified now: whether it was logged out Redis does not say: %s", why);
    return -1;
}
