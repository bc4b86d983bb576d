/* Connections to upstreams through mod_proxy: its workers, balancers, pools, TLS and health checks. Everything here but release() may block.
 *
 * mod_proxy's API wants a request_rec; it gets one of our own, made for each call, which never carries a header of the client's.
 */
#ifndef AIGW_TRANSPORT_H
#define AIGW_TRANSPORT_H

#include <httpd.h>
#include <mod_proxy.h>
#include "aigw_call.h"
#include "aigw_http.h"

typedef struct aigw_transport_t aigw_transport_t; /* what stands behind aigw_upstream_t.transport */

/* One connection in use. Zeroed before the first open; in the call's pool. */
typedef struct aigw_conn_t {
    server_rec *server;
    request_rec *r; /* for mod_proxy, made by open(); after it only for a balancer, else NULL */
    proxy_server_conf *pconf;
    proxy_worker *worker;
    proxy_balancer *balancer; /* or NULL */
    proxy_conn_rec *backend;  /* or NULL: none now */
    const char *scheme;       /* "http" or "https" */
    unsigned reused : 1;      /* it carried a request before: it may be stale */
    unsigned plain : 1;       /* nothing stands between the socket and us: it may be read with recv() */
} aigw_conn_t;

/* After the configuration is read, for all servers: finds or defines the workers, sets their limits (before mod_proxy_balancer copies them to shared memory), checks
 * that https is verified. APR_SUCCESS, or APR_EGENERAL after a numbered line with the remedy. */
apr_status_t aigw_transport_check_config(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server);
void aigw_transport_query_mpm(void); /* in post_config */
void aigw_transport_child_init(apr_pool_t *pchild, server_rec *main_server);

/* Gets a connection and sends the request on it, trying other members and one fresh connection where that is safe (nothing has been answered yet).
 * fresh: do not reuse a pooled connection. NULL, or what the client is told; then conn holds no backend. */
const aigw_error_t *aigw_transport_open(aigw_call_t *call, aigw_conn_t *conn, const aigw_http_request_t *req, int fresh);

/* Gives the connection back, to be used again only if `reusable`. Any thread that owns the call, the reactor too; never blocks. status: for the balancer (failonstatus), 0: none. */
void aigw_transport_release(aigw_conn_t *conn, int reusable, int status);

/* For polling; -1: none. */
int aigw_transport_fd(const aigw_conn_t *conn);

#endif
