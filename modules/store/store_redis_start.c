/* Before there are children: what is in this Redis, and does it keep it? */
#include "store_redis.h"
#include "redis_connection.h"
#include "aigw_clock.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

typedef struct start_t {
    apr_pool_t *p;
    const aigw_store_options_t *options;
    aigw_redis_t *redis;
    aigw_redis_connection_t *connection;
    aigw_redis_fault_t fault;
} start_t;

aigw_redis_t *aigw_store_redis_client(apr_pool_t *p, const aigw_store_options_t *options)
{
    const aigw_redis_apart_t ours = {options->timeout, options->connections, "AIGWStoreConnections", AIGW_STORE_REDIS_REPLY,
                                     "what needs the store is refused"};

    return aigw_redis_apart(p, &ours);
}

static apr_status_t ask(start_t *at, int argc, const char *const *argv, const aigw_redis_reply_t **reply)
{
    const apr_time_t until = aigw_clock_now() + at->redis->command_timeout;

    return aigw_redis_ask(at->connection, at->p, argc, argv, NULL, until, reply, &at->fault);
}

/* A line of INFO: the value behind "name:", or NULL. */
static const char *line_of(apr_pool_t *p, const aigw_redis_reply_t *reply, const char *name)
{
    const char *at = reply->kind == AIGW_REDIS_STRING ? reply->data : "";
    const apr_size_t len = strlen(name);

    while (at && (strncmp(at, name, len) || at[len] != ':')) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return at ? apr_pstrndup(p, at + len + 1, strcspn(at + len + 1, "\r\n")) : NULL;
}

/* ------------------------------------------------------------------ does it keep what it has? */

/* NULL: it does, as AIGWStoreSync wants it, or will not say. */
static const char *forgets(start_t *at, apr_status_t *rv)
{
    static const char *const info[] = {"INFO", "persistence"}, *const get[] = {"CONFIG", "GET", "appendfsync"};
    const aigw_redis_reply_t *reply;
    const char *aof;

    if ((*rv = ask(at, 2, info, &reply)) != APR_SUCCESS || !(aof = line_of(at->p, reply, "aof_enabled"))) {
        return NULL;
    }
    if (!strcmp(aof, "0")) {
        return "its log is off: what came since its last snapshot is lost when it ends without one, tasks too (in redis.conf: appendonly "
               "yes)";
    }
    /* who runs it may have forbidden CONFIG */
    *rv = ask(at, 3, get, &reply);
    if (*rv != APR_SUCCESS || !at->options->sync_full || reply->kind != AIGW_REDIS_ARRAY || reply->count != 2 ||
        !aigw_store_redis_text(&reply->elements[1]) || !strcmp(reply->elements[1].data, "always")) {
        return NULL;
    }
    return apr_psprintf(
        at->p,
        "its log is written to the disk \"%s\" (appendfsync) and AIGWStoreSync is full: a power cut takes what was accepted "
        "in the last second or longer (in redis.conf: appendfsync always; or AIGWStoreSync normal)",
        reply->elements[1].data);
}

/* NULL: no. */
static const char *evicts(start_t *at, apr_status_t *rv)
{
    static const char *const info[] = {"INFO", "memory"};
    const aigw_redis_reply_t *reply;
    const char *max, *policy;

    if ((*rv = ask(at, 2, info, &reply)) != APR_SUCCESS || !(max = line_of(at->p, reply, "maxmemory")) || !strcmp(max, "0") ||
        !(policy = line_of(at->p, reply, "maxmemory_policy")) || !strcmp(policy, "noeviction")) {
        return NULL;
    }
    return policy;
}

static void warn(start_t *at)
{
    server_rec *s = at->options->server;
    apr_status_t rv;
    const char *why = forgets(at, &rv), *policy = rv == APR_SUCCESS ? evicts(at, &rv) : NULL;

    if (why) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "AIGW0515: AIGWStore redis: Redis %s: %s", at->redis->url, why);
    }
    if (policy) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            "AIGW0516: AIGWStore redis: Redis %s throws keys away when its memory is full (maxmemory-policy %s), tasks too: it should be "
            "noeviction, and then what is new is refused",
            at->redis->url, policy);
    }
}

/* ------------------------------------------------------------------ what is in it? */

/* 0: it cannot be asked. *version: 0: nothing yet. */
static int look(start_t *at, int *version)
{
    const char *const get[] = {"GET", apr_pstrcat(at->p, at->redis->prefix, "store:version", NULL)};
    const aigw_redis_reply_t *reply;

    at->connection = aigw_redis_connect(at->redis, &at->redis->addresses, at->p, &at->fault);
    if (!at->connection || ask(at, 2, get, &reply) != APR_SUCCESS) {
        return 0;
    }
    if (reply->kind == AIGW_REDIS_ERROR) {
        apr_cpystrn(at->fault.text, reply->data, sizeof at->fault.text);
        return 0;
    }
    *version = (int)aigw_store_redis_int(reply);
    return 1;
}

apr_status_t aigw_store_redis_prepare(apr_pool_t *p, const char *args, const aigw_store_options_t *options)
{
    start_t at = {.p = p, .options = options, .redis = aigw_store_redis_client(p, options)};
    apr_status_t rv = APR_SUCCESS;
    int version = 0;

    if (!look(&at, &version)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, options->server,
                     "AIGW0512: the store: Redis %s cannot be asked now: %s: httpd starts, and asks again when it is needed", at.redis->url,
                     at.fault.text);
    }
    else if (version > AIGW_STORE_REDIS_VERSION) {
        ap_log_error(
            APLOG_MARK, APLOG_EMERG, 0, options->server,
            "AIGW0513: AIGWStore redis: what is in Redis %s was made by a newer mod_aigw (version %d, this one knows %d): install that "
            "one, or say another AIGWRedisPrefix",
            at.redis->url, version, AIGW_STORE_REDIS_VERSION);
        rv = APR_EGENERAL;
    }
    else {
        warn(&at);
    }
    if (at.connection) {
        aigw_redis_close(at.connection);
    }
    return rv;
}
