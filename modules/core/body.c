#include "body.h"
#include "error.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

#define FIRST_BLOCK   (16 * 1024)
#define HTTPD_DEFAULT ((apr_off_t)1 << 30) /* LimitRequestBody that nobody has set (httpd >= 2.4.53) */
#define TRUST_LENGTH  (1024 * 1024)        /* a Content-Length is believed up to this; beyond it memory follows the bytes that come */

/* malloc and realloc, not a pool: a large block is a mapping of its own, which grows without being copied and is given back when it is freed. */
typedef struct block_t {
    char *data;
    apr_size_t len, cap;
} block_t;

static apr_status_t block_cleanup(void *data)
{
    free(data);
    return APR_SUCCESS;
}

static int block_grow(block_t *b, apr_size_t need, apr_size_t max)
{
    apr_size_t cap = b->cap;
    char *data;

    if (need <= cap) {
        return 1;
    }
    while (cap < need) {
        cap *= 2;
    }
    if (cap > max + 1) {
        cap = max + 1;
    }
    data = realloc(b->data, cap);
    if (!data) {
        return 0;
    }
    b->data = data;
    b->cap = cap;
    return 1;
}

/* LimitRequestBody where the administrator has set it (httpd's default of 1 GiB is no such thing), else the endpoint's own. */
static apr_off_t effective_limit(request_rec *r, apr_off_t limit)
{
    apr_off_t said = ap_get_limit_req_body(r);

    return said > 0 && said != HTTPD_DEFAULT ? said : limit;
}

static const aigw_error_t *read_error(request_rec *r, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, rv, r, "AIGW0110: the request body could not be read");
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return aigw_error_make(r->pool, 413, "request_too_large", NULL, "The request body is too large.");
    }
    if (APR_STATUS_IS_TIMEUP(rv)) {
        status = HTTP_REQUEST_TIME_OUT;
    }
    return status == HTTP_REQUEST_TIME_OUT
               ? aigw_error_make(r->pool, 408, "request_timeout", NULL, "The request body did not arrive in time.")
               : aigw_error_make(r->pool, 400, "bad_request", NULL, "The request body could not be read to its end.");
}

static const aigw_error_t *no_memory(request_rec *r)
{
    return aigw_error_make(r->pool, 500, "internal_error", NULL, "The gateway is out of memory.");
}

static const aigw_error_t *too_large(request_rec *r, apr_off_t limit)
{
    return aigw_error_make(r->pool, 413, "request_too_large", NULL,
                           "The request body is larger than the %" APR_OFF_T_FMT " bytes allowed here.", limit);
}

/* One brigade's data behind what there is. 1: that was the end, 0: go on. */
static int take_brigade(block_t *b, apr_bucket_brigade *bb, apr_size_t max, apr_status_t *rv)
{
    apr_bucket *e;

    *rv = APR_SUCCESS;
    for (e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb); e = APR_BUCKET_NEXT(e)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_EOS(e)) {
            return 1;
        }
        if (APR_BUCKET_IS_METADATA(e)) {
            continue;
        }
        if ((*rv = apr_bucket_read(e, &data, &len, APR_BLOCK_READ)) != APR_SUCCESS) {
            return 0;
        }
        if (len > max - b->len) {
            *rv = APR_ENOSPC;
            return 0;
        }
        if (!block_grow(b, b->len + len + 1, max)) {
            *rv = APR_ENOMEM;
            return 0;
        }
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    return 0;
}

const aigw_error_t *aigw_body_read(request_rec *r, apr_off_t limit, char **data, apr_size_t *len)
{
    apr_bucket_brigade *bb;
    const char *said = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t announced = 0;
    block_t b = {NULL, 0, FIRST_BLOCK};
    apr_status_t rv = APR_SUCCESS;
    int end = 0;

    limit = effective_limit(r, limit);
    if (said && ap_parse_strict_length(&announced, said)) {
        if (announced > limit) {
            return too_large(r, limit);
        }
        b.cap = (apr_size_t)(announced < TRUST_LENGTH ? announced : TRUST_LENGTH) + 1;
    }
    if (!(b.data = malloc(b.cap))) {
        return no_memory(r);
    }
    apr_table_setn(r->notes, "aigw-errors", "1"); /* httpd itself answers a broken chunk: in our shape */
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (!end && rv == APR_SUCCESS) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, HUGE_STRING_LEN);
        if (rv == APR_SUCCESS) {
            end = take_brigade(&b, bb, (apr_size_t)limit, &rv);
        }
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    if (!end) {
        free(b.data);
        return rv == APR_ENOSPC ? too_large(r, limit) : rv == APR_ENOMEM ? no_memory(r) : read_error(r, rv);
    }
    apr_table_setn(r->notes, "aigw-body-read", "1");
    b.data[b.len] = '\0';
    apr_pool_cleanup_register(r->pool, b.data, block_cleanup, apr_pool_cleanup_null);
    *data = b.data;
    *len = b.len;
    return NULL;
}

void aigw_body_free(request_rec *r, char *data)
{
    if (data) {
        apr_pool_cleanup_run(r->pool, data, block_cleanup);
    }
}
