/* <AIGWModel>: reading the model catalogue and looking it up. See aigw_model.h for what a model is and how long it lives. */
#ifndef AIGW_MODEL_CONF_H
#define AIGW_MODEL_CONF_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_model.h"

const char *aigw_model_conf_section(cmd_parms *cmd, void *dir, const char *args);
const char *aigw_model_conf_upstream(cmd_parms *cmd, void *dir, const char *args);
const char *aigw_model_conf_alias(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_model_conf_price(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_model_conf_window(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_model_conf_max_tokens(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_model_conf_estimate(cmd_parms *cmd, void *dir, const char *arg);
const char *aigw_model_conf_owner(cmd_parms *cmd, void *dir, const char *arg);

/* A virtual host's models, then those of the main server that it does not redefine. */
apr_array_header_t *aigw_model_conf_merge(apr_pool_t *p, const apr_array_header_t *base, const apr_array_header_t *add);

/* Checks the catalogues of all servers and resolves secrets, once the configuration is read: APR_SUCCESS, or APR_EGENERAL after a numbered line. */
apr_status_t aigw_model_conf_check(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server);

const aigw_model_t *aigw_model_find(server_rec *s, const char *name);
const apr_array_header_t *aigw_model_all(server_rec *s);

/* Of all servers together. */
int aigw_model_count(server_rec *main_server);

#endif
