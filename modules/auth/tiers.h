/* AIGWTierFile: the tiers of users whose credential says none. A child reads the file again when it has changed; one that cannot be read, or has a mistake in it,
 * leaves the tiers as they were, and is logged once for each change of it. */
#ifndef AIGW_AUTH_TIERS_H
#define AIGW_AUTH_TIERS_H

#include <httpd.h>
#include <http_config.h>

typedef struct aigw_tiers_t aigw_tiers_t;

/* The directive's. */
const char *aigw_tiers_set(cmd_parms *cmd, void *dir, const char *path);

/* check_config: reads the file. 0, or the mistake has been logged, with its line. Twice does no harm. */
int aigw_tiers_load(aigw_tiers_t *tiers, server_rec *s, apr_pool_t *pconf);

void aigw_tiers_child_init(aigw_tiers_t *tiers, server_rec *s, apr_pool_t *pchild);

/* The user's tier, in r->pool; NULL: none, or there is no file. Thread: the owner of r. */
const char *aigw_tiers_find(request_rec *r, const char *user);

#endif
