#include "transport.h"
#include "conf.h"
#include "dry.h"
#include "error.h"
#include "tls_check.h"
#include "upstream_request.h"

#include <ap_mpm.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_uri.h>

APLOG_USE_MODULE(aigw);

#define HMAX_PARKED  1000000               /* connections are for streams, not for threads: mod_proxy's default is ThreadsPerChild */
#define SMAX_IDLE    64                    /* idle ones kept beyond ttl */
#define TTL_IDLE     apr_time_from_sec(60) /* ttl of the rest */
#define ACQUIRE_WAIT apr_time_from_sec(1)  /* where an administrator caps max: how long a worker thread may wait for a connection */

struct aigw_transport_t {
    const char *url;      /* of the upstream, path included */
    const char *scheme;   /* "http", "https" or "balancer" */
    proxy_worker *worker; /* NULL for a balancer */
    proxy_balancer *balancer;
    ap_conf_vector_t *section; /* of a <Proxy> block, or NULL */
    int own;                   /* we defined the worker, so we initialise it */
};

static int
    single_threaded; /* prefork: mod_proxy keeps one connection a worker without a lock, so helper threads and the main one take turns */
static apr_thread_mutex_t *single_mutex;

/* ------------------------------------------------------------------ start */

static void set_worker_limits(server_rec *s, proxy_worker *w)
{
    if (w->s->hmax == HMAX_PARKED) {
        return; /* another server's model has been here */
    }
    if (w->s->hmax == 0) {
        w->s->hmax = HMAX_PARKED;
        if (w->s->smax < 0) {
            w->s->smax = SMAX_IDLE;
        }
        if (!w->s->ttl) {
            w->s->ttl = TTL_IDLE;
        }
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0170: upstream %s: max=%d caps its open answers in each child; more than that are refused after %d ms: leave max "
                     "out unless that is what you want",
                     w->s->name_ex, w->s->hmax, (int)apr_time_as_msec(w->s->acquire_set ? w->s->acquire : ACQUIRE_WAIT));
    }
    if (!w->s->acquire_set) {
        w->s->acquire = ACQUIRE_WAIT;
        w->s->acquire_set = 1;
    }
    if (!w->s->conn_timeout_set && !w->s->timeout_set) {
        w->s->conn_timeout = aigw_conf_connect_timeout(s);
        w->s->conn_timeout_set = 1;
    }
}

static apr_status_t config_error(server_rec *s, const aigw_model_t *model, const char *what)
{
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "AIGW0171: %s:%u: model %s, upstream %s: %s", model->upstream->defn_name,
                 model->upstream->defn_line, model->name, model->upstream->url, what);
    return APR_EGENERAL;
}

static apr_status_t set_up_balancer(apr_pool_t *p, server_rec *s, const aigw_model_t *model, aigw_transport_t *t)
{
    proxy_server_conf *pconf = ap_get_module_config(s->module_config, &proxy_module);
    int i;

    t->balancer = ap_proxy_get_balancer(p, pconf, t->url, 0);
    if (!t->balancer) {
        return config_error(
            s, model,
            "there is no such balancer: add <Proxy \"balancer://name\"> BalancerMember ... </Proxy>, in this virtual host or before it");
    }
    if (!ap_find_linked_module("mod_proxy_http.c") || !ap_find_linked_module("mod_proxy_balancer.c")) {
        return config_error(s, model,
                            "a balancer needs mod_proxy_balancer, an mod_lbmethod_*, mod_slotmem_shm and mod_proxy_http: a2enmod "
                            "proxy_balancer lbmethod_byrequests proxy_http");
    }
    t->section = t->balancer->section_config;
    for (i = 0; i < t->balancer->workers->nelts; i++) {
        set_worker_limits(s, APR_ARRAY_IDX(t->balancer->workers, i, proxy_worker *));
    }
    return APR_SUCCESS;
}

/* mod_proxy finds workers by their http address; two unix sockets may have the same one. */
static int same_socket(apr_pool_t *p, const proxy_worker *w, const char *url)
{
    const char *bar = !ap_cstr_casecmpn(url, "unix:", 5) ? ap_strchr_c(url, '|') : NULL;
    const char *path = bar ? ap_runtime_dir_relative(p, apr_pstrmemdup(p, url + 5, bar - url - 5)) : "";

    return path && !strcmp(w->s->uds_path, path);
}

static apr_status_t set_up_worker(apr_pool_t *p, server_rec *s, const aigw_model_t *model, aigw_transport_t *t)
{
    proxy_server_conf *pconf = ap_get_module_config(s->module_config, &proxy_module);
    const char *err;

    t->worker = ap_proxy_get_worker(p, NULL, pconf, t->url);
    if (!t->worker || !same_socket(p, t->worker, t->url)) {
        err = ap_proxy_define_worker(p, &t->worker, NULL, NULL, t->url, 0);
        if (err) {
            return config_error(s, model, err);
        }
        t->own = 1;
    }
    t->section = t->worker->section_config;
    set_worker_limits(s, t->worker);
    return APR_SUCCESS;
}

/* Two models of one upstream share its transport, so that they share its connections. */
static aigw_transport_t *find_transport(const apr_array_header_t *all, const char *url)
{
    int i;

    for (i = 0; i < all->nelts; i++) {
        aigw_transport_t *t = APR_ARRAY_IDX(all, i, aigw_transport_t *);
        if (!strcmp(t->url, url)) {
            return t;
        }
    }
    return NULL;
}

static apr_status_t set_up(apr_pool_t *p, apr_pool_t *ptemp, server_rec *s, const aigw_model_t *model, apr_array_header_t *seen)
{
    aigw_upstream_t *up = model->upstream;
    const char *http = up->url;
    aigw_transport_t *t;
    apr_status_t rv;

    if (!up->url) {
        return APR_SUCCESS;
    }
    if ((t = up->transport) == NULL && (t = find_transport(seen, up->url)) == NULL) {
        t = apr_pcalloc(p, sizeof *t);
        t->url = up->url;
        if (!ap_cstr_casecmpn(http, "unix:", 5)) {
            http = ap_strchr_c(http, '|') + 1;
        }
        t->scheme = !ap_cstr_casecmpn(http, "https:", 6) ? "https" : !ap_cstr_casecmpn(http, "balancer:", 9) ? "balancer" : "http";
        rv = *t->scheme == 'b' ? set_up_balancer(p, s, model, t) : set_up_worker(p, s, model, t);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        APR_ARRAY_PUSH(seen, aigw_transport_t *) = t;
    }
    up->transport = t;
    return aigw_tls_check(ptemp, s, model, t->worker, t->balancer);
}

void aigw_transport_query_mpm(void)
{
    int threads = 0;

    single_threaded = ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) == APR_SUCCESS && threads <= 1;
}

apr_status_t aigw_transport_check_config(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server)
{
    server_rec *s;
    int i;

    for (s = main_server; s; s = s->next) {
        const apr_array_header_t *models = aigw_conf_server(s)->models;
        apr_array_header_t *seen = apr_array_make(ptemp, 8, sizeof(aigw_transport_t *));

        for (i = 0; i < models->nelts; i++) {
            apr_status_t rv = set_up(pconf, ptemp, s, APR_ARRAY_IDX(models, i, const aigw_model_t *), seen);
            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
    }
    return APR_SUCCESS;
}

void aigw_transport_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    server_rec *s;
    int i;

    if (single_threaded) {
        apr_thread_mutex_create(&single_mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
    }
    for (s = main_server; s; s = s->next) {
        const apr_array_header_t *models = aigw_conf_server(s)->models;
        for (i = 0; i < models->nelts; i++) {
            aigw_transport_t *t = APR_ARRAY_IDX(models, i, const aigw_model_t *)->upstream->transport;
            if (t && t->own) {
                t->own = 0; /* once a child: models share transports */
                if (ap_proxy_initialize_worker(t->worker, s, pchild) != APR_SUCCESS) {
                    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                                 "AIGW0172: upstream %s: mod_proxy could not set up its connection pool in this child", t->url);
                }
            }
        }
    }
}

/* ------------------------------------------------------------------ one attempt */

/* What the balancer chose, for `Header set Set-Cookie` and logs of the client's request. */
static void tell_route(aigw_call_t *call, request_rec *r)
{
    static const char *const names[] = {"BALANCER_NAME", "BALANCER_WORKER_NAME", "BALANCER_WORKER_ROUTE", "BALANCER_ROUTE_CHANGED", NULL};
    int i;

    for (i = 0; call->client && names[i]; i++) {
        const char *value = apr_table_get(r->subprocess_env, names[i]);
        if (value) {
            apr_table_set(call->client->subprocess_env, names[i], value);
        }
    }
}

/* Elects a worker, and the url below it. OK, or a status. */
static int elect(aigw_call_t *call, aigw_conn_t *conn, aigw_transport_t *t, const char *path, char **url)
{
    request_rec *r = conn->r;
    int rc = OK;

    *url = apr_pstrcat(r->pool, t->url, path, NULL);
    conn->worker = t->worker;
    if (!t->worker) {
        conn->balancer = t->balancer;
        r->filename = apr_pstrcat(r->pool, "proxy:", *url, NULL);
        rc = ap_proxy_pre_request(&conn->worker, &conn->balancer, r, conn->pconf, url);
        if (rc == OK) {
            if (!(conn->worker->local_status & PROXY_WORKER_INITIALIZED)) { /* a member added at run time */
                ap_proxy_initialize_worker(conn->worker, r->server, conn->pconf->pool);
            }
            tell_route(call, r);
        }
    }
    else if (*t->worker->s->uds_path) {
        *url = ap_strchr(*url, '|') + 1;
    }
    conn->scheme = rc == OK && !ap_cstr_casecmpn(*url, "https:", 6) ? "https" : "http";
    return rc == DECLINED ? HTTP_SERVICE_UNAVAILABLE : rc;
}

/* A <Proxy> block's SSLProxy* directives hold as if mod_proxy had merged it. */
static void set_section(aigw_call_t *call, aigw_conn_t *conn, const aigw_transport_t *t)
{
    ap_conf_vector_t *section = conn->worker->section_config ? conn->worker->section_config : t->section;

    if (section && conn->scheme[4]) {
        conn->r->per_dir_config = ap_merge_per_dir_configs(call->pool, call->server->lookup_defaults, section);
    }
}

/* How long a write, and before it a TLS handshake, may stand still. */
static void set_socket_timeout(aigw_conn_t *conn, apr_interval_time_t t)
{
    apr_socket_timeout_set(conn->backend->sock, t);
}

static void lock_single(void)
{
    if (single_mutex) {
        apr_thread_mutex_lock(single_mutex);
    }
}

static void unlock_single(void)
{
    if (single_mutex) {
        apr_thread_mutex_unlock(single_mutex);
    }
}

/* OK, or a status: 502 broken while sending, 503 not to be had, 504 too slow. */
static int connect_backend(aigw_call_t *call, aigw_conn_t *conn, aigw_transport_t *t, char **url, apr_uri_t *uri, int fresh)
{
    char port[32];
    request_rec *r = conn->r;
    int rc;

    lock_single();
    rc = ap_proxy_acquire_connection(conn->scheme, &conn->backend, conn->worker, r->server);
    unlock_single();
    if (rc != OK) {
        conn->backend = NULL;
        return rc;
    }
    conn->backend->is_ssl = conn->scheme[4] == 's';
    if (fresh) {
        conn->backend->close = 1; /* determine_connection() then closes what is open */
    }
    set_section(call, conn, t);
    rc = ap_proxy_determine_connection(r->pool, r, conn->pconf, conn->worker, conn->backend, uri, url, NULL, 0, port, sizeof port);
    if (rc != OK) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    conn->reused = ap_proxy_check_connection(conn->scheme, conn->backend, r->server, 1, PROXY_CHECK_CONN_EMPTY) == APR_SUCCESS;
    if (!conn->reused && ap_proxy_connect_backend(conn->scheme, conn->backend, conn->worker, r->server) != OK) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    rc = ap_proxy_connection_create_ex(conn->scheme, conn->backend, r);
    if (rc == OK && conn->scheme[4]) {
        aigw_dry_watch(conn->backend->connection); /* a ProxyPass to the same worker may have opened it */
    }
    if (rc == OK && !conn->reused && conn->scheme[4]) {
        apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

        set_socket_timeout(conn, aigw_conf_connect_timeout(r->server));
        rc = ap_proxy_pass_brigade(r->connection->bucket_alloc, r, conn->backend, conn->backend->connection, bb,
                                   1); /* the FLUSH alone: the handshake */
    }
    return rc == OK ? OK : HTTP_BAD_GATEWAY;
}

/* The core's input filter asks the socket twice for each piece and keeps 8 KB for it in every connection; where it would only hand the bytes on, it is left out.
 * It holds none: check_connection() has looked. Of other filters we know only that mod_logio's merely counts. */
static int is_plain(const aigw_conn_t *conn)
{
    const ap_filter_t *f;

    if (conn->scheme[4]) {
        return 0;
    }
    for (f = conn->backend->connection->input_filters; f; f = f->next) {
        if (ap_cstr_casecmp(f->frec->name, "core_in") && ap_cstr_casecmp(f->frec->name, "log_input_output")) {
            return 0;
        }
    }
    return 1;
}

static int attempt(aigw_call_t *call, aigw_conn_t *conn, aigw_transport_t *t, const aigw_http_request_t *req, int fresh)
{
    apr_uri_t uri;
    char *url;
    int rc = elect(call, conn, t, req->path, &url);

    if (rc != OK) {
        return rc;
    }
    memset(&uri, 0, sizeof uri);
    rc = connect_backend(call, conn, t, &url, &uri, fresh);
    if (rc == OK) {
        request_rec *r = conn->r;

        conn->plain = is_plain(conn) ? 1 : 0;
        set_socket_timeout(conn, call->server->timeout);
        if (ap_proxy_pass_brigade(r->connection->bucket_alloc, r, conn->backend, conn->backend->connection,
                                  aigw_upstream_request_brigade(call, r, ap_proxy_connection_reusable(conn->backend), req, &uri, url),
                                  1) != OK) {
            rc = HTTP_BAD_GATEWAY;
        }
    }
    return rc;
}

void aigw_transport_release(aigw_conn_t *conn, int reusable, int status)
{
    proxy_conn_rec *backend = conn->backend;

    if (!backend) {
        return;
    }
    conn->backend = NULL;
    if (!reusable) {
        backend->close = 1;
    }
    if (backend->tmp_bb) {
        apr_brigade_cleanup(backend->tmp_bb);
    }
    lock_single();
    ap_proxy_release_connection(conn->scheme, backend, conn->server);
    unlock_single();
    if (conn->balancer) {
        conn->r->status = status ? status : HTTP_OK;
        ap_proxy_post_request(conn->worker, conn->balancer, conn->r, conn->pconf);
    }
}

int aigw_transport_fd(const aigw_conn_t *conn)
{
    apr_os_sock_t fd = -1;

    if (conn->backend && conn->backend->sock) {
        apr_os_sock_get(&fd, conn->backend->sock);
    }
    return fd;
}

/* ------------------------------------------------------------------ all attempts */

static int attempts_for(const aigw_transport_t *t)
{
    return t->balancer ? t->balancer->workers->nelts + 1 : 2;
}

static const aigw_error_t *unreachable(aigw_call_t *call, int rc, int tried, int n)
{
    const aigw_transport_t *t = call->model->upstream->transport;

    ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server,
                 "AIGW0173: [%s] model %s: upstream %s cannot be reached (%d, after %d of %d attempts)", call->context->id,
                 call->model->name, t->url, rc, tried, n);
    if (rc == HTTP_SERVICE_UNAVAILABLE && t->balancer) {
        return aigw_error_make(call->pool, 503, "no_upstream_available", NULL,
                               "No model server is available for this model at the moment.");
    }
    return aigw_error_make(call->pool, 502, "upstream_connect_failed", NULL, "The model server could not be reached.");
}

static int attempts(aigw_call_t *call, aigw_conn_t *conn, const aigw_http_request_t *req, int fresh, int *tried)
{
    aigw_transport_t *t = call->model->upstream->transport;
    int rc = OK, n = attempts_for(t);

    for (*tried = 1; *tried <= n; ++*tried) {
        int reused;

        rc = attempt(call, conn, t, req, fresh);
        if (rc == OK) {
            return OK;
        }
        reused = conn->backend && conn->reused;
        aigw_transport_release(conn, 0, 0);
        if (!t->balancer && !reused) {
            return rc; /* there is no other member, and this was no stale connection */
        }
        fresh = reused;
    }
    *tried = n;
    return rc;
}

const aigw_error_t *aigw_transport_open(aigw_call_t *call, aigw_conn_t *conn, const aigw_http_request_t *req, int fresh)
{
    aigw_transport_t *t = call->model->upstream->transport;
    apr_pool_t *p = call->pool;
    int rc, tried;

    conn->server = call->server;
    conn->pconf = ap_get_module_config(call->server->module_config, &proxy_module);
    if (!t->balancer) {
        apr_pool_create(&p, call->pool); /* only a balancer is told how it went: what asking takes is given back before the answer comes */
    }
    if (!t->balancer || !conn->r) {
        conn->r = aigw_upstream_request_rec(call, p);
    }
    rc = attempts(call, conn, req, fresh, &tried);
    if (!t->balancer) {
        conn->r = NULL;
        apr_pool_destroy(p);
    }
    return rc == OK ? NULL : unreachable(call, rc, tried, attempts_for(t));
}
