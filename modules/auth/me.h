/* aigw-me: who am I, and what may I do? */
#ifndef AIGW_AUTH_ME_H
#define AIGW_AUTH_ME_H

#include <httpd.h>

void aigw_me_register(apr_pool_t *p);

#endif
