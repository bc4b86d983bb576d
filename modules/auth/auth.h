/* mod_aigw_auth: what its files share. */
#ifndef AIGW_AUTH_H
#define AIGW_AUTH_H

#include <httpd.h>
#include <http_config.h>
#include "aigw.h"

extern module AP_MODULE_DECLARE_DATA aigw_auth_module;

/* The core's functions. Set before there are requests, never changes. */
extern const aigw_core_t *aigw_auth_core;

#define AIGW_AUTH_TYPE    "AIGW"
#define AIGW_AUTH_API_KEY "api_key" /* aigw_identity_t.method */
#define AIGW_AUTH_JWT     "jwt"     /* the same */

/* 1 if AuthType AIGW holds for r. */
int aigw_auth_is_ours(request_rec *r);

#endif
