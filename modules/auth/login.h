/* aigw-login: a password, checked by httpd's own providers, for a token. */
#ifndef AIGW_AUTH_LOGIN_H
#define AIGW_AUTH_LOGIN_H

#include <httpd.h>

void aigw_login_register(apr_pool_t *p);

#endif
