/* AIGWRedis and its kin: where Redis is, and what may be asked of it. Of the main server only; constant once the configuration is read. */
#ifndef AIGW_CORE_REDIS_CONF_H
#define AIGW_CORE_REDIS_CONF_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_redis.h"
#include "redis_address.h"

struct aigw_redis_t {
    const char *url;  /* as it was written, for the log; it has no secret. NULL: no AIGWRedis */
    const char *host; /* name or address; NULL where there is a path */
    int port;
    const char *path;                    /* of a Unix socket, or NULL */
    const char *user;                    /* of its ACL, or NULL: the default one */
    const char *password_source;         /* env:, file:, exec:, or NULL */
    const char *password;                /* from there. Secret */
    int over_tls;                        /* rediss:// */
    const char *ca;                      /* file of those who may sign its certificate. NULL: those that OpenSSL knows of itself */
    const char *cert, *key;              /* files of ours; both, or NULL */
    struct ssl_ctx_st *tls;              /* of redis_tls.c: what all connections have in common; NULL without TLS */
    int db;                              /* number of the database */
    apr_interval_time_t connect_timeout; /* microseconds */
    apr_interval_time_t command_timeout; /* microseconds */
    int connections;                     /* of a child, at most */
    const char *connections_directive;   /* which says so */
    apr_size_t reply_bytes;              /* what a reply may have at most */
    const char *meanwhile;               /* NULL: what AIGWRedisFailure says; or what holds while it is away, for the log */
    aigw_redis_failure_e failure;
    const char *prefix;
    const char *defn_name; /* where AIGWRedis stands */
    unsigned defn_line;
    aigw_redis_addresses_t addresses; /* of host, as they were at the start of httpd */
    struct aigw_redis_pool_t *pool;   /* in a child: its connections; else NULL */
};

const char *aigw_redis_conf_server(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
const char *aigw_redis_conf_timeout(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_redis_conf_connections(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_redis_conf_failure(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_redis_conf_prefix(cmd_parms *cmd, void *dir, const char *arg);

/* Once the configuration is read: gets the password, reads the files of TLS. APR_SUCCESS, or APR_EGENERAL after a numbered line. */
apr_status_t aigw_redis_conf_check(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server);

/* What holds while it is away, for the log: "AIGWRedisFailure local holds". */
const char *aigw_redis_meanwhile(const aigw_redis_t *redis);

#endif
