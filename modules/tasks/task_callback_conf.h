/* What the AIGWCallback… directives say. Main server only; constant once the configuration is read, in its pool. */
#ifndef AIGW_TASK_CALLBACK_CONF_H
#define AIGW_TASK_CALLBACK_CONF_H

#include "aigw_backoff.h"
#include "aigw_callback_url.h"
#include "aigw_webhook.h"

#include <httpd.h>
#include <http_config.h>

#define AIGW_CALLBACK_KEYS 4 /* secrets at the same time */

/* What callbacks are signed with, the newest first. */
typedef struct aigw_callback_secret_t {
    aigw_callback_list_t receivers;          /* for those alone; empty: for all that are in no other */
    const char *sources[AIGW_CALLBACK_KEYS]; /* where the secrets are */
    aigw_webhook_key_t keys[AIGW_CALLBACK_KEYS];
    int nkeys;
} aigw_callback_secret_t;

typedef struct aigw_callback_conf_t {
    aigw_callback_list_t allow;   /* empty: there are no callbacks */
    aigw_callback_secret_t all;   /* of receivers that have none of their own; nkeys 0: there is none */
    apr_array_header_t *secrets;  /* aigw_callback_secret_t *: of some receivers */
    int allow_private;            /* private addresses may be called */
    apr_array_header_t *networks; /* apr_ipsubnet_t *: these may be called, whatever they are */
    apr_interval_time_t timeout;  /* of one try */
    aigw_backoff_t retry;
    const char *ca; /* NULL: the system's */
} aigw_callback_conf_t;

aigw_callback_conf_t *aigw_callback_conf_make(apr_pool_t *p);

/* check_config: reads the secrets. OK, or what is wrong has been logged. Twice does no harm. */
int aigw_callback_conf_check(aigw_callback_conf_t *conf, server_rec *s, apr_pool_t *ptemp);

/* That of this receiver: the first that names him, else that of all. */
const aigw_callback_secret_t *aigw_callback_conf_secret(const aigw_callback_conf_t *conf, const aigw_callback_url_t *url);

/* The directives; the table is in task_conf.c. */
const char *aigw_callback_set_allow(cmd_parms *cmd, void *dummy, const char *arg);
const char *aigw_callback_set_secret(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *aigw_callback_set_private(cmd_parms *cmd, void *dummy, int on);
const char *aigw_callback_set_network(cmd_parms *cmd, void *dummy, const char *arg);
const char *aigw_callback_set_timeout(cmd_parms *cmd, void *dummy, const char *arg);
const char *aigw_callback_set_retry(cmd_parms *cmd, void *dummy, int argc, char *const argv[]);
const char *aigw_callback_set_ca(cmd_parms *cmd, void *dummy, const char *arg);

#endif
