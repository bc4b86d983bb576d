/* AuthType AIGW: whose credential is it? */
#ifndef AIGW_AUTH_IDENTIFY_H
#define AIGW_AUTH_IDENTIFY_H

#include <httpd.h>
#include "aigw_credential.h"

/* The credential that the request has, as of aigw_credential_read(). Thread: the owner of r. */
aigw_credential_e aigw_identify_credential(request_rec *r, aigw_credential_t *credential);

void aigw_identify_register(apr_pool_t *p);

#endif
