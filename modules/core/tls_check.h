/* An https upstream is verified, or the start fails (WIRE.md section 3). mod_ssl keeps its settings to itself, so the directives are read from httpd's configuration tree. */
#ifndef AIGW_TLS_CHECK_H
#define AIGW_TLS_CHECK_H

#include <httpd.h>
#include <mod_proxy.h>
#include "aigw_model.h"

/* worker or balancer: where the model's upstream goes. APR_SUCCESS, or APR_EGENERAL after a numbered line that names the remedy. Main thread, in post_config. */
apr_status_t aigw_tls_check(apr_pool_t *ptemp, server_rec *s, const aigw_model_t *model, const proxy_worker *worker,
                            const proxy_balancer *balancer);

#endif
