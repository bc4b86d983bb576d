/* Authorization providers: Require aigw-tier, aigw-scope, aigw-model. */
#ifndef AIGW_AUTH_REQUIRE_H
#define AIGW_AUTH_REQUIRE_H

#include <httpd.h>

void aigw_require_register(apr_pool_t *p);

#endif
