/* The thread of a child that asks the addresses that keys come from. One child at a time asks an address (jwks_share.h); what it brings is for all. */
#ifndef AIGW_AUTH_JWKS_KEEPER_H
#define AIGW_AUTH_JWKS_KEEPER_H

#include <httpd.h>
#include "jwks_fetch.h"
#include "jwks_share.h"

typedef struct aigw_jwks_address_t {
    /* constant */
    const char *url;
    aigw_jwks_conf_t conf;
    server_rec *server;
    aigw_jwks_share_t *share;
    struct aigw_jwks_address_t *next;
    /* of the thread */
    aigw_jwks_fetch_t *fetch; /* NULL: none at the moment, of this child */
    apr_uint32_t flight;
} aigw_jwks_address_t;

/* post_config: one more address, for as long as the configuration lives. */
void aigw_jwks_keeper_add(aigw_jwks_address_t *address, apr_pool_t *pconf);

/* child_init: starts the thread, if there is something to keep. Again does no harm. */
void aigw_jwks_keeper_child_init(apr_pool_t *pchild, server_rec *s);

/* Says in the log that this child cannot do its part. */
void aigw_jwks_keeper_fault(const server_rec *s, apr_status_t rv, const char *what);

/* A request has asked for something. Any thread. 0: there is no thread here. */
int aigw_jwks_keeper_wake(void);

/* 1 once the child is being stopped the hard way: nobody waits any more. Any thread. */
int aigw_jwks_keeper_is_stopping(void);

void aigw_jwks_keeper_register(apr_pool_t *p);

#endif
