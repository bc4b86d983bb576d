/* The one error shape: making, sending, and httpd's own errors turned into it (AIGWErrors). See aigw_error.h and WIRE.md section 2. */
#ifndef AIGW_CORE_ERROR_H
#define AIGW_CORE_ERROR_H

#include <httpd.h>
#include "aigw_error.h"

aigw_error_t *aigw_error_make(apr_pool_t *p, int status, const char *code, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

char *aigw_error_json(apr_pool_t *p, const aigw_error_t *error);

/* Answers r; what the handler must return. Thread: the owner of r, one that may block. */
int aigw_error_send(request_rec *r, const aigw_error_t *error);

/* The code of WIRE.md that usually goes with a status, or NULL. */
const char *aigw_error_usual_code(int status);

/* An error whose strings are copied to p. */
aigw_error_t *aigw_error_copy(apr_pool_t *p, const aigw_error_t *error);

void aigw_error_register(apr_pool_t *p);

#endif
