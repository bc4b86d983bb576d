/* Credentials are kept out of the error log: httpd logs all request headers at LogLevel http:trace4. */
#ifndef AIGW_AUTH_HIDE_H
#define AIGW_AUTH_HIDE_H

#include <httpd.h>

void aigw_hide_register(apr_pool_t *p);

#endif
