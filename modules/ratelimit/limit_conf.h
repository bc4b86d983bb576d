/* Configuration of mod_aigw_ratelimit: directives, merging. */
#ifndef AIGW_LIMIT_CONF_H
#define AIGW_LIMIT_CONF_H

#include "limit.h"

typedef struct aigw_limit_server_t {
    int entries;               /* AIGWLimitEntries; of the main server. 0: not said */
    int redis;                 /* AIGWLimitStore; of the main server */
    apr_interval_time_t lease; /* AIGWLimitLease; of the main server. 0: not said */
} aigw_limit_server_t;

void *aigw_limit_conf_dir_create(apr_pool_t *p, char *dir);
void *aigw_limit_conf_dir_merge(apr_pool_t *p, void *base, void *add);
void *aigw_limit_conf_server_create(apr_pool_t *p, server_rec *s);

extern const command_rec aigw_limit_conf_commands[];

/* 1: in Redis; 0: in memory. */
int aigw_limit_conf_redis(const server_rec *main_server);

/* How long Redis keeps what is reserved for a call that nobody renews, microseconds. */
apr_interval_time_t aigw_limit_conf_lease(const server_rec *main_server);

int aigw_limit_conf_entries(const server_rec *main_server);

#endif
