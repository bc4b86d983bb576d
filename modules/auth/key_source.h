/* Where an issuer's keys come from (AIGWJwtKey): "file:PATH" (PEM or a secret), "env:NAME" (the same), "jwks:PATH" or "jwks:https://…".
 *
 * file: and env: are read once, when httpd starts. A JWKS file is read again when it changes; an address is asked by a background thread of a child, for all children.
 */
#ifndef AIGW_AUTH_KEY_SOURCE_H
#define AIGW_AUTH_KEY_SOURCE_H

#include <httpd.h>
#include "aigw_jws.h"

typedef struct aigw_key_source_t aigw_key_source_t;

/* Reading the configuration: nothing is opened yet. NULL and *source, in p, or what is wrong with the text. */
const char *aigw_key_source_make(apr_pool_t *p, const char *text, aigw_key_source_t **source);

/* What was configured, but never a secret itself. */
const char *aigw_key_source_name(const aigw_key_source_t *source);

/* check_config: reads what is on this machine. 0, or the mistake has been logged. *algs: what its keys may verify, AIGW_JWS_* bits; for an address, all of RS and ES: a secret is never fetched. Twice
 * does no harm. */
int aigw_key_source_load(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf, unsigned *algs);

/* post_config, child_init: what is shared by the children, and what each has for itself. */
int aigw_key_source_post_config(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf);
void aigw_key_source_child_init(aigw_key_source_t *source, server_rec *s, apr_pool_t *pchild);

typedef enum {
    AIGW_KEYS_FOUND,
    AIGW_KEYS_NONE,       /* it has no key for this kid and algorithm, asked again where that may help */
    AIGW_KEYS_UNAVAILABLE /* an address that has never answered */
} aigw_keys_e;

#define AIGW_KEYS_TRIED 4 /* keys that one token is tried with at most */

/* Copies to p the keys that may verify alg under kid (NULL: the token has none). Thread: a worker's; it may wait for the network, for a bounded time, where an address has to be asked first. Not
 * for the reactor. */
aigw_keys_e aigw_key_source_find(aigw_key_source_t *source, server_rec *s, const char *kid, unsigned alg, apr_pool_t *p,
                                 aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count);

#endif
