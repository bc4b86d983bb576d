/* A JWT as a credential: verified, or found among those that were. */
#ifndef AIGW_AUTH_TOKEN_H
#define AIGW_AUTH_TOKEN_H

#include <httpd.h>
#include "aigw_request.h"

typedef struct aigw_token_t {
    const char *issuer; /* iss */
    const char *jti;    /* NULL: none */
    aigw_identity_t identity;
} aigw_token_t;

typedef enum {
    AIGW_TOKEN_GOOD,
    AIGW_TOKEN_BAD,        /* whatever the reason: it has been logged, and the client learns nothing of it */
    AIGW_TOKEN_EXPIRED,    /* its signature is good */
    AIGW_TOKEN_REVOKED,    /* by a logout */
    AIGW_TOKEN_UNAVAILABLE /* the issuer's keys cannot be had */
} aigw_token_e;

/* Fills *token, in r->pool, for GOOD. text: NUL-terminated. now: microseconds since 1970. Thread: the owner of r. */
aigw_token_e aigw_token_verify(request_rec *r, const char *text, apr_size_t len, apr_time_t now, aigw_token_t *token);

#endif
