/* AuthType AIGW: whose credential is it? */
#ifndef AIGW_AUTH_IDENTIFY_H
#define AIGW_AUTH_IDENTIFY_H

#include <httpd.h>

void aigw_identify_register(apr_pool_t *p);

#endif
