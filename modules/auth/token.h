/* A JWT as a credential: verified, or found among those that were. */
#ifndef AIGW_AUTH_TOKEN_H
#define AIGW_AUTH_TOKEN_H

#include <httpd.h>
#include "aigw_request.h"

typedef struct aigw_token_t {
    const char *issuer; /* iss */
    const char *jti;    /* NULL: none */
    apr_time_t dead;    /* when it has expired with the skew of its issuer too, here. Microseconds since 1970 */
    aigw_identity_t identity;
} aigw_token_t;

typedef enum {
    AIGW_TOKEN_GOOD,
    AIGW_TOKEN_BAD,        /* whatever the reason: it has been logged, and the client learns nothing of it */
    AIGW_TOKEN_EXPIRED,    /* its signature is good */
    AIGW_TOKEN_REVOKED,    /* by a logout */
    AIGW_TOKEN_UNAVAILABLE /* the issuer's keys cannot be had, or nobody can tell whether it was revoked */
} aigw_token_e;

/* child_init: what this child remembers of verified tokens. */
void aigw_token_child_init(apr_pool_t *pchild, server_rec *s);

/* Fills *token, in r->pool, for GOOD. text: NUL-terminated. now: microseconds since 1970. Thread: the owner of r; it may wait for an issuer's keys, for a bounded time. */
aigw_token_e aigw_token_verify(request_rec *r, const char *text, apr_size_t len, apr_time_t now, aigw_token_t *token);

#endif
