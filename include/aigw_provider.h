/* A provider: how to ask one kind of model server. Registered with ap_register_provider(p, AIGW_PROVIDER_GROUP, "name", AIGW_PROVIDER_VERSION, &table);
 * a third-party module may bring its own. The core looks names up while the configuration is read, so the module must be loaded before the directive is met.
 */
#ifndef AIGW_PROVIDER_H
#define AIGW_PROVIDER_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_call.h"
#include "aigw_source.h"

#define AIGW_PROVIDER_GROUP   "aigw_provider"
#define AIGW_PROVIDER_VERSION "0"

typedef struct aigw_provider_t {
    /* 1: AIGWUpstream takes a URL after the provider's name and mod_proxy's workers are set up for it. */
    int needs_url;

    /* One key=value of the AIGWUpstream line that the core does not know. Returns NULL, or what is wrong with it and what would be right
     * (for `apachectl configtest`). up->provider_conf is the provider's to make, in p (the configuration pool). */
    const char *(*configure)(aigw_upstream_t *up, apr_pool_t *p, const char *key, const char *value);

    /* Makes the source of this call in call->source. Must not block and not connect: that is start()'s.
     * NULL, or why this cannot be asked, in the call's pool. Thread: a worker's. */
    const aigw_error_t *(*open)(aigw_call_t *call);
} aigw_provider_t;

#endif
