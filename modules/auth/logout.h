/* aigw-logout: the token that it is called with is good no more. */
#ifndef AIGW_AUTH_LOGOUT_H
#define AIGW_AUTH_LOGOUT_H

#include <httpd.h>

void aigw_logout_register(apr_pool_t *p);

#endif
