/* The body of a login: {"username", "password"}, as JSON or as a form (application/x-www-form-urlencoded), as a password grant of OAuth 2.0 sends it
 * (RFC 6749, section 4.3.2). What an attacker sends is cut here and looked at nowhere else.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_LOGIN_BODY_H
#define AIGW_LOGIN_BODY_H

#include <apr_errno.h>
#include <apr_pools.h>

#define AIGW_LOGIN_PASSWORD_MAX 1024 /* bytes */

typedef struct aigw_login_body_t {
    const char *username; /* as it came: 1 to 256 bytes of UTF-8 without control characters and colons */
    const char *password; /* 1 to AIGW_LOGIN_PASSWORD_MAX bytes */
    const char *scope;    /* names with blanks between them; NULL: not said */
} aigw_login_body_t;

typedef struct aigw_login_fault_t {
    const char *code;    /* of WIRE.md section 2 */
    const char *param;   /* NULL: none */
    const char *message; /* a sentence for the client, in the pool. Nothing of the values is in it */
} aigw_login_fault_t;

/* All strings of *body are put into room, which has len + 1 bytes and is the caller's to wipe: no copy of them is anywhere else. APR_SUCCESS, or APR_EINVAL and
 * *fault. */
apr_status_t aigw_login_body_json(aigw_login_body_t *body, const char *text, apr_size_t len, char *room, apr_pool_t *p,
                                  aigw_login_fault_t *fault);
/* text is NUL-terminated here: text[len] is '\0'. */
apr_status_t aigw_login_body_form(aigw_login_body_t *body, const char *text, apr_size_t len, char *room, apr_pool_t *p,
                                  aigw_login_fault_t *fault);

#endif
