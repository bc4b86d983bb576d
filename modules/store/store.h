/* Which store there is (AIGWStore), and its opening in each child. */
#ifndef AIGW_CORE_STORE_H
#define AIGW_CORE_STORE_H

#include "aigw_store.h"

#include <http_config.h>

/* Registers the stores that come with the core. */
void aigw_stores_register(apr_pool_t *p);

/* The directive's: AIGWStore "sqlite:/path" | "pgsql:conninfo" | "redis" [password=SOURCE] */
const char *aigw_store_set(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);

const char *aigw_store_set_sync(cmd_parms *cmd, void *dummy, const char *arg);
const char *aigw_store_set_timeout(cmd_parms *cmd, void *dummy, const char *arg);
const char *aigw_store_set_connections(cmd_parms *cmd, void *dummy, const char *arg);

/* check_config, behind aigw_redis_check(). APR_SUCCESS, also where there is none; else the reason was logged. p: for work. */
apr_status_t aigw_store_check_config(server_rec *main_server, apr_pool_t *p);

/* post_config. APR_SUCCESS, also where there is none; else the reason was logged. */
apr_status_t aigw_store_post_config(server_rec *main_server, apr_pool_t *pconf, apr_pool_t *ptemp);

void aigw_store_child_init(apr_pool_t *pchild, server_rec *main_server);

/* aigw_core_t.store. */
const aigw_store_vt *aigw_store_get(aigw_store_t **store);

/* aigw_core_t.store_name. */
const char *aigw_store_name(void);

#endif
