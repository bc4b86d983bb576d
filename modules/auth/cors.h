/* Requests of pages from other origins (CORS, the fetch standard): AIGWCorsOrigin, AIGWCorsCredentials.
 *
 * Preflights, for whoever limits requests: one that comes to a location with AIGWCorsOrigin is answered in header_parser, right after the location is known. No
 * access_checker, and nothing that comes after it (limits, client certificates, Require, authentication, fixups, a handler), ever sees one, so nobody has to
 * make an exception. An OPTIONS request that gets there is no preflight, or its location knows no CORS.
 */
#ifndef AIGW_AUTH_CORS_H
#define AIGW_AUTH_CORS_H

#include <httpd.h>
#include <http_config.h>
#include <apr_tables.h>

/* Of a location, a part of aigw_auth_dir_t: all zero where nothing is said. In the configuration pool. */
typedef struct aigw_cors_t {
    apr_array_header_t *origins;                                          /* AIGWCorsOrigin, aigw_origin_t; NULL: not said; empty: "none" */
    enum { AIGW_CORS_NOT_SAID, AIGW_CORS_ON, AIGW_CORS_OFF } credentials; /* AIGWCorsCredentials */
    const ap_directive_t *origins_at, *credentials_at;                    /* for messages while the configuration is read */
} aigw_cors_t;

/* The directives' setters; dir is an aigw_auth_dir_t. */
const char *aigw_cors_add_origin(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_cors_set_credentials(cmd_parms *cmd, void *dir, int on);

/* conf is the inner one, or a copy of it, and gets from outer what it does not say. */
void aigw_cors_merge(aigw_cors_t *conf, const aigw_cors_t *outer);

void aigw_cors_register(apr_pool_t *p);

#endif
