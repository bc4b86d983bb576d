#include "redis_conf.h"
#include "conf.h"
#include "redis_tls.h"
#include "secret.h"

#include <http_log.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>
#include <sys/un.h>

APLOG_USE_MODULE(aigw);

#define PORT            6379
#define DB_MAX          65535
#define CONNECTIONS_MAX 1024
#define PREFIX_MAX      64
#define TIMEOUT_MAX     apr_time_from_sec(30)

static const char *const failures[] = {
    [AIGW_REDIS_FAILURE_LOCAL] = "local", [AIGW_REDIS_FAILURE_OPEN] = "open", [AIGW_REDIS_FAILURE_CLOSED] = "closed"};

const char *aigw_redis_meanwhile(const aigw_redis_t *redis)
{
    static const char *const holds[] = {[AIGW_REDIS_FAILURE_LOCAL] = "AIGWRedisFailure local holds",
                                        [AIGW_REDIS_FAILURE_OPEN] = "AIGWRedisFailure open holds",
                                        [AIGW_REDIS_FAILURE_CLOSED] = "AIGWRedisFailure closed holds"};

    return redis->meanwhile ? redis->meanwhile : holds[redis->failure];
}

/* Of the main server, which is the only one that these directives stand in; made by the first of them. */
static aigw_redis_t *conf_of(cmd_parms *cmd)
{
    aigw_server_conf_t *server = aigw_conf_server(cmd->server);
    aigw_redis_t *redis = server->redis;

    if (!redis) {
        redis = server->redis = apr_pcalloc(cmd->pool, sizeof *redis);
        redis->connect_timeout = apr_time_from_msec(250);
        redis->command_timeout = apr_time_from_msec(50);
        redis->connections = 8;
        redis->connections_directive = "AIGWRedisConnections";
        redis->reply_bytes = AIGW_REDIS_REPLY_BYTES;
        redis->prefix = "{aigw}:";
    }
    return redis;
}

/* A whole number from min to max, all of the text; or -1. */
static int number(const char *text, int min, int max)
{
    char *end;
    apr_int64_t n = apr_isdigit(*text) ? apr_strtoi64(text, &end, 10) : -1;

    return n < min || n > max || *end ? -1 : (int)n;
}

/* ------------------------------------------------------------------ AIGWRedis */

static const char *no_address(cmd_parms *cmd, const char *arg)
{
    return apr_psprintf(cmd->pool,
                        "AIGWRedis: %s is not the address of a Redis: write redis://host, redis://user@host:6379/0, rediss://host (TLS) or "
                        "unix:/path/redis.sock; "
                        "a password is password=env:NAME, file:/path or exec:/path/to/command",
                        ap_strchr_c(arg, '@') || ap_strchr_c(arg, '?') ? "this (not repeated, it may hold a secret)" : arg);
}

static const char *set_db(cmd_parms *cmd, aigw_redis_t *redis, const char *value)
{
    redis->db = number(value, 0, DB_MAX);
    return redis->db < 0 ? apr_psprintf(cmd->pool, "AIGWRedis: '%s' is not the number of a database: 0 to %d", value, DB_MAX) : NULL;
}

/* A word of AUTH: what could break a line is no name. */
static const char *set_user(cmd_parms *cmd, aigw_redis_t *redis, const char *value)
{
    const char *s;

    for (s = value; apr_isgraph(*s); s++) {
    }
    if (!*value || *s) {
        return "AIGWRedis: the user's name is empty, or has blanks or control characters in it";
    }
    if (redis->user) {
        return "AIGWRedis: the user is said twice: in the URL or as user=NAME";
    }
    redis->user = apr_pstrdup(cmd->pool, value);
    return NULL;
}

static const char *set_url(cmd_parms *cmd, aigw_redis_t *redis, const char *arg)
{
    struct sockaddr_un sun;
    const char *err;
    apr_uri_t uri;

    redis->url = apr_pstrdup(cmd->pool, arg);
    if (!ap_cstr_casecmpn(arg, "unix:", 5)) {
        redis->path = redis->url + 5;
        return *redis->path != '/' || strlen(redis->path) >= sizeof sun.sun_path
                   ? apr_psprintf(cmd->pool, "AIGWRedis: unix: needs a whole path, of at most %d bytes: unix:/run/redis/redis.sock",
                                  (int)sizeof sun.sun_path - 1)
                   : NULL;
    }
    if (apr_uri_parse(cmd->pool, arg, &uri) != APR_SUCCESS || !uri.scheme || !uri.hostname || !*uri.hostname || uri.query || uri.fragment ||
        (uri.port_str && number(uri.port_str, 1, 65535) < 0)) {
        return no_address(cmd, arg);
    }
    redis->over_tls = !ap_cstr_casecmp(uri.scheme, "rediss");
    if (redis->over_tls && !aigw_redis_tls_is_built()) {
        return "AIGWRedis: rediss:// (TLS) is not in this build of mod_aigw, for want of hiredis_ssl (hiredis 1.0 or newer): use redis:// "
               "or unix: to a TLS tunnel on this machine, such as stunnel";
    }
    if (uri.password) {
        return "AIGWRedis: a password does not stand in the URL (it is not repeated here): write password=env:NAME, file:/path or "
               "exec:/path/to/command behind it";
    }
    if (!redis->over_tls && ap_cstr_casecmp(uri.scheme, "redis")) {
        return no_address(cmd, arg);
    }
    redis->host = uri.hostname;
    redis->port = uri.port_str ? uri.port : PORT;
    err = uri.path && uri.path[0] && uri.path[1] ? set_db(cmd, redis, uri.path + 1) : NULL;
    return err || !uri.user ? err : set_user(cmd, redis, uri.user);
}

static const char *set_file(cmd_parms *cmd, const char **file, const char *value)
{
    *file = *value ? ap_server_root_relative(cmd->pool, value) : NULL;
    return *file ? NULL : "AIGWRedis: ca=, cert= and key= are each the path of a file";
}

static const char *set_option(cmd_parms *cmd, aigw_redis_t *redis, const char *arg)
{
    if (!strncmp(arg, "password=", 9)) {
        redis->password_source = apr_pstrdup(cmd->pool, arg + 9);
        return aigw_secret_source_fault(cmd->pool, "AIGWRedis password", arg + 9);
    }
    if (!strncmp(arg, "user=", 5)) {
        return set_user(cmd, redis, arg + 5);
    }
    if (!strncmp(arg, "db=", 3)) {
        return set_db(cmd, redis, arg + 3);
    }
    if (!strncmp(arg, "ca=", 3)) {
        return set_file(cmd, &redis->ca, arg + 3);
    }
    if (!strncmp(arg, "cert=", 5)) {
        return set_file(cmd, &redis->cert, arg + 5);
    }
    if (!strncmp(arg, "key=", 4)) {
        return set_file(cmd, &redis->key, arg + 4);
    }
    /* not repeated: it may be the password */
    return "AIGWRedis: what stands behind the address is none of password=SOURCE, user=NAME, db=N, ca=FILE, cert=FILE, key=FILE";
}

const char *aigw_redis_conf_server(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    aigw_redis_t *redis;
    int i;

    if (err) {
        return err;
    }
    redis = conf_of(cmd);
    if (argc < 1) {
        return "AIGWRedis: where is it? Write for example AIGWRedis redis://127.0.0.1:6379";
    }
    if (redis->url) {
        return apr_psprintf(cmd->pool, "AIGWRedis: there is one already, in line %u of %s: one Redis serves the whole httpd",
                            redis->defn_line, redis->defn_name);
    }
    redis->defn_name = cmd->directive->filename;
    redis->defn_line = (unsigned)cmd->directive->line_num;
    err = set_url(cmd, redis, argv[0]);
    for (i = 1; !err && i < argc; i++) {
        err = set_option(cmd, redis, argv[i]);
    }
    if (!err && redis->user && !redis->password_source) {
        err = "AIGWRedis: a user needs a password: add password=env:NAME, file:/path or exec:/path/to/command";
    }
    if (!err && !redis->over_tls && (redis->ca || redis->cert || redis->key)) {
        err = "AIGWRedis: ca=, cert= and key= are for rediss://: without TLS nobody looks at a certificate";
    }
    if (!err && !redis->cert != !redis->key) {
        err = "AIGWRedis: cert= and key= go together: the certificate that Redis is shown, and its private key";
    }
    return err;
}

/* ------------------------------------------------------------------ the others */

const char *aigw_redis_conf_timeout(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY), *value = ap_strchr_c(arg, '=');
    apr_interval_time_t t = 0, *to;

    if (err) {
        return err;
    }
    to = !strncmp(arg, "connect=", 8)   ? &conf_of(cmd)->connect_timeout
         : !strncmp(arg, "command=", 8) ? &conf_of(cmd)->command_timeout
                                        : NULL;
    if (!to) {
        return apr_psprintf(cmd->pool, "AIGWRedisTimeout: '%s' is none of connect=TIME, command=TIME: write for example connect=250ms",
                            arg);
    }
    if (!aigw_conf_time(value + 1, "s", &t) || t < apr_time_from_msec(1) || t > TIMEOUT_MAX) {
        return apr_psprintf(cmd->pool, "AIGWRedisTimeout: '%s' is not a time from 1ms to 30s: write for example command=50ms", value + 1);
    }
    *to = t;
    return NULL;
}

const char *aigw_redis_conf_connections(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    int n = number(arg, 1, CONNECTIONS_MAX);

    if (!err && n < 0) {
        err =
            apr_psprintf(cmd->pool, "AIGWRedisConnections: '%s' is not a number of connections of a child: 1 to %d", arg, CONNECTIONS_MAX);
    }
    if (!err) {
        conf_of(cmd)->connections = n;
    }
    return err;
}

const char *aigw_redis_conf_failure(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    int i;

    for (i = 0; !err && i < (int)(sizeof failures / sizeof failures[0]); i++) {
        if (!strcmp(arg, failures[i])) {
            conf_of(cmd)->failure = (aigw_redis_failure_e)i;
            return NULL;
        }
    }
    return err ? err
               : apr_psprintf(
                     cmd->pool,
                     "AIGWRedisFailure: '%s' is none of local (go on with what this machine knows), open (let through), closed (refuse)",
                     arg);
}

/* As Redis Cluster sees it: what is between the first { and the next } is what places a key, unless that is nothing. */
static int has_hash_tag(const char *prefix)
{
    const char *open = ap_strchr_c(prefix, '{'), *close = open ? ap_strchr_c(open, '}') : NULL;

    return close && close > open + 1;
}

const char *aigw_redis_conf_prefix(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY), *s;

    if (err) {
        return err;
    }
    for (s = arg; apr_isgraph(*s); s++) {
    }
    if (*s || s - arg > PREFIX_MAX || !has_hash_tag(arg)) {
        return apr_psprintf(
            cmd->pool,
            "AIGWRedisPrefix: '%s' is no prefix for all keys: at most %d characters, no blanks, and a hash tag in braces that "
            "is not empty, which keeps them on one node of a cluster: write for example {aigw}:",
            arg, PREFIX_MAX);
    }
    conf_of(cmd)->prefix = arg;
    return NULL;
}

/* ------------------------------------------------------------------ after the configuration is read */

apr_status_t aigw_redis_conf_check(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server)
{
    aigw_redis_t *redis = aigw_conf_server(main_server)->redis;
    const char *why = NULL;

    if (redis && redis->password_source && !redis->password) {
        redis->password = aigw_secret_read(pconf, ptemp, redis->password_source, &why);
        if (!redis->password) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server, "AIGW0105: %s:%u: AIGWRedis: the password from %s cannot be had: %s",
                         redis->defn_name, redis->defn_line, redis->password_source, why);
            return APR_EGENERAL;
        }
    }
    if (redis && redis->over_tls && !redis->tls) {
        why = aigw_redis_tls_make(redis, pconf);
        if (why) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server, "AIGW0107: %s:%u: AIGWRedis: TLS cannot be set up: %s", redis->defn_name,
                         redis->defn_line, why);
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}
