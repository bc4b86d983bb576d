/* Keys from an https address, in the memory of a child: of the document that all children share. */
#ifndef AIGW_AUTH_JWKS_REMOTE_H
#define AIGW_AUTH_JWKS_REMOTE_H

#include <httpd.h>
#include "key_source.h"

typedef struct aigw_jwks_remote_t aigw_jwks_remote_t;

/* Reading the configuration. NULL: *fault is what is wrong with the address. */
aigw_jwks_remote_t *aigw_jwks_remote_make(apr_pool_t *p, const char *url, const char **fault);

/* check_config: its certificates. 0, or the mistake has been logged. */
int aigw_jwks_remote_load(aigw_jwks_remote_t *remote, server_rec *s, apr_pool_t *pconf);

int aigw_jwks_remote_post_config(aigw_jwks_remote_t *remote, server_rec *s, apr_pool_t *pconf);
void aigw_jwks_remote_child_init(aigw_jwks_remote_t *remote, server_rec *s, apr_pool_t *pchild);

/* As aigw_key_source_find(). */
aigw_keys_e aigw_jwks_remote_find(aigw_jwks_remote_t *remote, const char *kid, unsigned alg, apr_pool_t *p,
                                  aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count);

#endif
