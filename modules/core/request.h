/* The request context (aigw_request.h): making it, its response headers, its variables for the access log. */
#ifndef AIGW_CORE_REQUEST_H
#define AIGW_CORE_REQUEST_H

#include <httpd.h>
#include "aigw_model.h"
#include "aigw_request.h"

/* The context of r, made if there is none. Never NULL. Thread: the owner of r. */
aigw_request_t *aigw_request_get(request_rec *r);

/* The context of r if there is one, else NULL. */
aigw_request_t *aigw_request_peek(request_rec *r);

/* Registers the hooks and the output filter that belong to the context. */
void aigw_request_register(apr_pool_t *p);

/* aigw_core_t.model_allowed */
int aigw_request_model_allowed(const aigw_request_t *context, const aigw_model_t *model);

#endif
