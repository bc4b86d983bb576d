/* The credential of a request: WIRE.md section 4, RFC 6750 section 2.1. What an attacker sends is cut here and looked at nowhere else.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_CREDENTIAL_H
#define AIGW_CREDENTIAL_H

#include <apr_pools.h>

#define AIGW_CREDENTIAL_MAX         8192 /* bytes of a token */
#define AIGW_CREDENTIAL_SUBPROTOCOL "aigw.bearer."

typedef enum {
    AIGW_CREDENTIAL_NONE,     /* there is none; "Bearer" alone counts as none, and so does any other scheme */
    AIGW_CREDENTIAL_OK,       /* one, or the same one several times */
    AIGW_CREDENTIAL_MULTIPLE, /* several that differ */
    AIGW_CREDENTIAL_BAD       /* no token: characters that may not be in one, or too long */
} aigw_credential_e;

typedef struct aigw_credential_t {
    const char *token; /* in the pool, NUL-terminated. A secret: never logged */
    apr_size_t len;
} aigw_credential_t;

/* The values of the header fields, each NULL where there is none; httpd has joined fields of the same name with ", ". websocket: Sec-WebSocket-Protocol. */
typedef struct aigw_credential_fields_t {
    const char *authorization, *x_api_key, *api_key, *websocket;
} aigw_credential_fields_t;

/* *credential is set for OK only. */
aigw_credential_e aigw_credential_read(const aigw_credential_fields_t *fields, apr_pool_t *p, aigw_credential_t *credential);

#endif
