#include "upstream_request.h"

#include <http_config.h>
#include <http_core.h>
#include <mod_proxy.h>
#include <apr_strings.h>

#define HEAD_PIECES 128

/* ------------------------------------------------------------------ for mod_proxy */

static conn_rec *make_conn_rec(aigw_call_t *call, apr_pool_t *p)
{
    conn_rec *c = apr_pcalloc(p, sizeof *c), *from = call->client ? call->client->connection : NULL;

    c->pool = p;
    c->base_server = call->server;
    /* an allocator costs 8 KB: a call that cannot outlive its client uses the client's */
    c->bucket_alloc = from && call->pool == call->client->pool ? from->bucket_alloc : apr_bucket_alloc_create(p);
    c->conn_config = ap_create_conn_config(p);
    c->notes = apr_table_make(p, 2);
    /* copies: the call may outlive the client's connection, and log lines want an address */
    if (from && c->bucket_alloc == from->bucket_alloc) {
        c->client_addr = from->client_addr;
        c->local_addr = from->local_addr;
        c->client_ip = from->client_ip;
    }
    else if (from) {
        c->client_addr = apr_pmemdup(p, from->client_addr, sizeof *from->client_addr);
        c->local_addr = apr_pmemdup(p, from->local_addr, sizeof *from->local_addr);
        c->client_ip = apr_pstrdup(p, from->client_ip);
    }
    else {
        apr_sockaddr_info_get(&c->local_addr, "127.0.0.1", APR_INET, 0, 0, p);
        c->client_addr = c->local_addr;
        c->client_ip = apr_pstrdup(p, "127.0.0.1");
    }
    c->log_id = call->context->id;
    return c;
}

request_rec *aigw_upstream_request_rec(aigw_call_t *call, apr_pool_t *p)
{
    request_rec *r = apr_pcalloc(p, sizeof *r);

    r->pool = p;
    r->connection = make_conn_rec(call, p);
    r->server = call->server;
    r->per_dir_config = call->server->lookup_defaults;
    r->request_config = ap_create_request_config(p);
    r->headers_in = apr_table_make(p, 1);
    r->headers_out = apr_table_make(p, 1);
    r->err_headers_out = r->notes = r->headers_out; /* nobody reads them; a table is 300 bytes */
    r->subprocess_env = apr_table_make(p, 1);
    r->proxyreq = PROXYREQ_REVERSE;
    r->method = "POST";
    r->method_number = M_POST;
    r->proto_num = HTTP_VERSION(1, 1);
    r->protocol = apr_pstrdup(p, "HTTP/1.1");
    r->the_request = apr_pstrdup(p, "POST / HTTP/1.1");
    r->uri = r->unparsed_uri = apr_pstrdup(p, "/");
    r->hostname = call->server->server_hostname;
    r->status = HTTP_OK;
    r->useragent_addr = r->connection->client_addr;
    r->useragent_ip = r->connection->client_ip;
    r->request_time = call->created;
    r->log_id = call->context->id;
    /* a balancer's stickiness reads the client's cookie; the request we write never has it */
    if (call->client) {
        const char *cookie = apr_table_get(call->client->headers_in, "Cookie");
        if (cookie) {
            apr_table_set(r->headers_in, "Cookie", cookie);
        }
    }
    return r;
}

/* ------------------------------------------------------------------ what is sent */

/* The head becomes one text in the call's pool: apr_brigade_puts() would take 8 KB for it. */
typedef struct head_t {
    apr_pool_t *pool;
    struct iovec pieces[HEAD_PIECES];
    apr_size_t n;
} head_t;

static const char *join(head_t *head, apr_size_t *len)
{
    return apr_pstrcatv(head->pool, head->pieces, head->n, len);
}

static void put_text(head_t *head, const char *text)
{
    if (head->n == HEAD_PIECES) { /* an administrator with very many headers of his own */
        apr_size_t len;

        head->pieces[0].iov_base = (void *)join(head, &len);
        head->pieces[0].iov_len = len;
        head->n = 1;
    }
    head->pieces[head->n].iov_base = (void *)text;
    head->pieces[head->n++].iov_len = strlen(text);
}

static int put_header(void *baton, const char *name, const char *value)
{
    head_t *head = baton;

    put_text(head, name);
    put_text(head, ": ");
    put_text(head, value);
    put_text(head, CRLF);
    return 1;
}

static const char *host_of(apr_pool_t *p, const apr_uri_t *uri)
{
    const char *name = ap_strchr_c(uri->hostname, ':') ? apr_pstrcat(p, "[", uri->hostname, "]", NULL) : uri->hostname;

    return uri->port && uri->port != ap_proxy_port_of_scheme(uri->scheme) ? apr_psprintf(p, "%s:%u", name, uri->port) : name;
}

static const char *request_head(aigw_call_t *call, apr_pool_t *p, int keep_alive, const aigw_http_request_t *req, const apr_uri_t *uri,
                                const char *path, apr_size_t *len)
{
    head_t head = {.pool = p};
    apr_off_t body = 0;
    int i;

    for (i = 0; i < req->nbody; i++) {
        body += (apr_off_t)req->body[i].iov_len;
    }
    put_text(&head, "POST ");
    put_text(&head, path);
    put_text(&head, " HTTP/1.1" CRLF);
    put_header(&head, "Host", host_of(p, uri));
    apr_table_do(put_header, &head, req->headers, NULL);
    if (call->model->upstream->headers) {
        apr_table_do(put_header, &head, call->model->upstream->headers, NULL);
    }
    put_header(&head, "X-Request-ID", call->context->id);
    put_header(&head, "traceparent", call->context->traceparent);
    put_header(&head, "Accept-Encoding", "identity");
    put_header(&head, "Content-Length", apr_off_t_toa(p, body));
    put_header(&head, "Connection", keep_alive ? "keep-alive" : "close");
    put_text(&head, CRLF);
    return join(&head, len);
}

apr_bucket_brigade *aigw_upstream_request_brigade(aigw_call_t *call, request_rec *r, int keep_alive, const aigw_http_request_t *req,
                                                  const apr_uri_t *uri, const char *path)
{
    apr_pool_t *p = r->pool;
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(p, alloc);
    apr_size_t len;
    const char *head = request_head(call, p, keep_alive, req, uri, path, &len);
    int i;

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create(head, len, alloc));
    for (i = 0; i < req->nbody; i++) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create(req->body[i].iov_base, req->body[i].iov_len, alloc));
    }
    return bb;
}
