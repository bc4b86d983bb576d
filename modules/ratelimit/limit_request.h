/* Limits of requests: by address before anybody is asked who he is, by identity and tier afterwards. */
#ifndef AIGW_LIMIT_REQUEST_H
#define AIGW_LIMIT_REQUEST_H

#include "limit_store.h"

/* What was charged for this request so far, aigw_limit_charge_t, never NULL. r: any of its redirects and sub-requests. Thread: the owner of r. */
apr_array_header_t *aigw_limit_request_charges(request_rec *r);

/* Gives all of it back, because the request is refused. Harmless twice. */
void aigw_limit_request_refund(request_rec *r);

void aigw_limit_request_register(apr_pool_t *p);

#endif
