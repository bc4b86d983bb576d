/* What the endpoints of this module have in common: aigw-login, aigw-logout, aigw-me. */
#ifndef AIGW_AUTH_ENDPOINT_H
#define AIGW_AUTH_ENDPOINT_H

#include <httpd.h>
#include <jansson.h>

/* 1 if r is for this handler. */
int aigw_endpoint_is(const request_rec *r, const char *handler);

/* 1 if the method is not the one of the endpoint, and *rc is what the handler returns: 405 has been sent. get: GET and HEAD, else POST. */
int aigw_endpoint_refused(request_rec *r, int get, int *rc);

/* Sends an error: as aigw_core_t.error_make() and error_send(). Returns what the handler must. */
int aigw_endpoint_error(request_rec *r, int status, const char *code, const char *param, const char *message);

/* The text of a JSON answer, in r->pool; takes the reference. NULL without memory. */
char *aigw_endpoint_text(request_rec *r, json_t *json);

/* Sends a 200 with it that nobody may keep. NULL is a 500. Returns what the handler must. */
int aigw_endpoint_answer(request_rec *r, const char *text);

#endif
