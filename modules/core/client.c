#include "client.h"

#include <http_connection.h>
#include <http_config.h>
#include <http_core.h>
#include <apr_optional.h>
#include <apr_portable.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Core's output filter waits for the client, or gives it up, once it holds FlushMaxThreshold (64 KiB) that the client has not taken. So it gets pieces, and the next
 * one only when it holds nothing. */
#define PIECE  (32 * 1024)
#define IOVECS 16 /* an event in a chunk is three, a turn's worth of TLS records fewer */

typedef struct out_ctx_t {
    const int *nonblocking;
    /* made for the connection's first stream, in its pool */
    apr_bucket_brigade *held; /* what core has not been given yet */
    apr_bucket_brigade *rest; /* of a brigade while its first piece is passed */
    apr_bucket_brigade *now;  /* held ones on their way */
} out_ctx_t;

static ap_filter_rec_t *nonblocking_filter;
static APR_OPTIONAL_FN_TYPE(ap_logio_add_bytes_out) * count_bytes_out; /* mod_logio's, or NULL */

ap_filter_t *aigw_client_core_filter(conn_rec *c)
{
    ap_filter_t *f = c->output_filters;

    while (f->next) {
        f = f->next;
    }
    return f;
}

/* Our filter of this connection; there is one where there is a park. */
static ap_filter_t *own_filter(conn_rec *c)
{
    ap_filter_t *f = c->output_filters;

    while (f && f->frec != nonblocking_filter) {
        f = f->next;
    }
    return f;
}

/* Core's filter sets the time-out of its socket to 0 and back around each write. The park's has none, -1, and would have O_NONBLOCK switched with it. Set only when core
 * is needed. */
static void never_wait(conn_rec *c)
{
    core_net_rec *net = aigw_client_core_filter(c)->ctx;
    apr_interval_time_t t = 0;

    if (apr_socket_timeout_get(net->client_socket, &t) == APR_SUCCESS && t < 0) {
        apr_socket_timeout_set(net->client_socket, 0);
    }
}

/* What the event MPM itself does in CONN_STATE_WRITE_COMPLETION: a NULL brigade is a nonblocking write of what is set aside. */
static apr_status_t core_write(conn_rec *c)
{
    ap_filter_t *f = aigw_client_core_filter(c);

    never_wait(c);
    return f->frec->filter_func.out_func(f, NULL);
}

static int in_memory(const apr_bucket *e)
{
    return APR_BUCKET_IS_TRANSIENT(e) || APR_BUCKET_IS_HEAP(e) || APR_BUCKET_IS_POOL(e) || APR_BUCKET_IS_IMMORTAL(e);
}

/* The beginning of bb, as far as it lies in memory. Returns how many pieces. */
static int gather(apr_bucket_brigade *bb, struct iovec *vec, int max)
{
    apr_bucket *e;
    int n = 0;

    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb) && n < max && in_memory(e); e = APR_BUCKET_NEXT(e)) {
        const char *data;

        if (apr_bucket_read(e, &data, &vec[n].iov_len, APR_NONBLOCK_READ) != APR_SUCCESS) {
            break;
        }
        vec[n++].iov_base = (void *)data;
    }
    return n;
}

static void drop_written(apr_bucket_brigade *bb, apr_size_t n)
{
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *e = APR_BRIGADE_FIRST(bb);

        if (e->length > n) {
            if (n) {
                apr_bucket_split(e, n);
                apr_bucket_delete(e);
            }
            return;
        }
        n -= e->length;
        apr_bucket_delete(e);
        if (!n) {
            return;
        }
    }
}

/* An event goes out in one system call and is not copied. Core would set it aside first, in a pool of its own, for it collects small pieces.
 * What the client does not take now stays in bb. */
static apr_status_t write_now(conn_rec *c, apr_bucket_brigade *bb)
{
    core_net_rec *net = aigw_client_core_filter(c)->ctx;
    struct iovec vec[IOVECS];
    struct msghdr msg = {.msg_iov = vec};
    apr_os_sock_t fd;
    ssize_t n;

    if (c->data_in_output_filters || !(msg.msg_iovlen = (size_t)gather(bb, vec, IOVECS))) {
        return APR_SUCCESS; /* not before what waits already */
    }
    apr_os_sock_get(&fd, net->client_socket);
    do {
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        /* core, which is asked next, knows what to do without memory */
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    }
    drop_written(bb, (apr_size_t)n);
    if (count_bytes_out) {
        count_bytes_out(c, n);
    }
    return APR_SUCCESS;
}

/* Gives core pieces for as long as it gets rid of them at once; what is left of bb stays there. */
static apr_status_t pass_pieces(ap_filter_t *f, apr_bucket_brigade *bb)
{
    out_ctx_t *ctx = f->ctx;
    conn_rec *c = f->c;
    apr_status_t rv = APR_SUCCESS;

    if (!APR_BRIGADE_EMPTY(bb)) {
        never_wait(c);
    }
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb) && !c->data_in_output_filters) {
        apr_bucket *rest;

        rv = apr_brigade_partition(bb, PIECE, &rest);
        if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
            return rv;
        }
        apr_brigade_split_ex(bb, rest, ctx->rest);
        rv = ap_pass_brigade(f->next, bb);
        apr_brigade_cleanup(bb);
        APR_BRIGADE_CONCAT(bb, ctx->rest);
        if (rv == APR_SUCCESS) {
            rv = core_write(c);
        }
    }
    return rv;
}

/* What core has not been given, before what comes now. */
static void prepend_held(out_ctx_t *ctx, apr_bucket_brigade *bb)
{
    if (!APR_BRIGADE_EMPTY(ctx->held)) {
        APR_BRIGADE_PREPEND(bb, ctx->held);
    }
}

static void make_brigades(out_ctx_t *ctx, conn_rec *c)
{
    if (!ctx->held) {
        ctx->held = apr_brigade_create(c->pool, c->bucket_alloc);
        ctx->rest = apr_brigade_create(c->pool, c->bucket_alloc);
        ctx->now = apr_brigade_create(c->pool, c->bucket_alloc);
    }
}

static void take_out_flushes(apr_bucket_brigade *bb)
{
    apr_bucket *e, *next;

    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb); e = next) {
        next = APR_BUCKET_NEXT(e);
        if (APR_BUCKET_IS_FLUSH(e)) {
            apr_bucket_delete(e);
        }
    }
}

static apr_status_t out_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    out_ctx_t *ctx = f->ctx;
    apr_status_t rv;

    if (!*ctx->nonblocking) {
        if (ctx->held) {
            prepend_held(ctx, bb);
        }
        return ap_pass_brigade(f->next, bb);
    }
    make_brigades(ctx, f->c);
    take_out_flushes(bb);
    prepend_held(ctx, bb);
    rv = f->c->aborted ? APR_ECONNABORTED : write_now(f->c, bb);
    if (rv != APR_SUCCESS) {
        f->c->aborted = 1;
        apr_brigade_cleanup(bb);
        return rv;
    }
    rv = pass_pieces(f, bb);
    if (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        rv = ap_save_brigade(f, &ctx->held, &bb, f->c->pool);
    }
    return rv;
}

int aigw_client_pending(request_rec *r)
{
    conn_rec *c = r->connection;
    ap_filter_t *f = own_filter(c);
    out_ctx_t *ctx = f ? f->ctx : NULL;

    return c->data_in_output_filters || (ctx && ctx->held && !APR_BRIGADE_EMPTY(ctx->held));
}

apr_status_t aigw_client_write_pending(request_rec *r)
{
    conn_rec *c = r->connection;
    ap_filter_t *f = own_filter(c);
    out_ctx_t *ctx = f ? f->ctx : NULL;
    apr_status_t rv = c->aborted ? APR_ECONNABORTED : core_write(c);

    if (rv == APR_SUCCESS && ctx && ctx->held && !APR_BRIGADE_EMPTY(ctx->held) && !c->data_in_output_filters) {
        APR_BRIGADE_CONCAT(ctx->now, ctx->held);
        rv = pass_pieces(f, ctx->now);
        APR_BRIGADE_CONCAT(ctx->held, ctx->now); /* set aside already */
    }
    if (rv != APR_SUCCESS) {
        c->aborted = 1;
    }
    return rv;
}

void aigw_client_abort(request_rec *r)
{
    r->connection->aborted = 1;
    r->connection->keepalive = AP_CONN_CLOSE;
}

void aigw_client_add_filter(conn_rec *c, const int *nonblocking)
{
    out_ctx_t *ctx = apr_pcalloc(c->pool, sizeof *ctx);

    ctx->nonblocking = nonblocking;
    ap_add_output_filter_handle(nonblocking_filter, ctx, NULL, c);
}

static void find_functions(void)
{
    count_bytes_out = APR_RETRIEVE_OPTIONAL_FN(ap_logio_add_bytes_out);
}

void aigw_client_register(apr_pool_t *p)
{
    ap_hook_optional_fn_retrieve(find_functions, NULL, NULL, APR_HOOK_MIDDLE);
    nonblocking_filter = ap_register_output_filter("AIGW_NONBLOCKING", out_filter, NULL, AP_FTYPE_NETWORK - 1);
}
