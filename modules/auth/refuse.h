/* Refusals: the error that the client gets, and WWW-Authenticate (RFC 6750, section 3). */
#ifndef AIGW_AUTH_REFUSE_H
#define AIGW_AUTH_REFUSE_H

#include <httpd.h>

/* Each sets what the client is told and returns what a hook of httpd's returns. message: a sentence, constant. */

/* 401: there is a credential, and it is not good. code: of WIRE.md section 2. */
int aigw_refuse_credential(request_rec *r, const char *code, const char *message);

/* 503: it cannot be known now whether it is good. */
int aigw_refuse_unavailable(request_rec *r, const char *message);

/* 401: there is none. */
int aigw_refuse_anonymous(request_rec *r);

/* 400: there are several. */
int aigw_refuse_multiple(request_rec *r);

/* Notes why an authorization provider denies somebody who is known: the 403 then says so. code may be NULL. */
void aigw_refuse_note(request_rec *r, const char *code, const char *message);

void aigw_refuse_register(apr_pool_t *p);

#endif
