/* AIGWTierFile: the tiers of users whose credential says none. A followed file (followed_file.h). */
#ifndef AIGW_AUTH_TIERS_H
#define AIGW_AUTH_TIERS_H

#include <httpd.h>
#include <http_config.h>

/* The directive's. */
const char *aigw_tiers_set(cmd_parms *cmd, void *dir, const char *path);

/* The user's tier, in p; NULL: none, or there is no file. Any thread. */
const char *aigw_tiers_find(const server_rec *s, apr_pool_t *p, const char *user);

#endif
