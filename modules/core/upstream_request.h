/* The request to an upstream: the request_rec that mod_proxy's functions want, which never carries a header of the client's, and the bytes that are sent.
 *
 * Thread: the one that owns the call; nothing blocks.
 */
#ifndef AIGW_UPSTREAM_REQUEST_H
#define AIGW_UPSTREAM_REQUEST_H

#include <httpd.h>
#include <apr_buckets.h>
#include <apr_uri.h>
#include "aigw_call.h"
#include "aigw_http.h"

/* A request_rec with its conn_rec in p, which is the call's pool or a part of it. */
request_rec *aigw_upstream_request_rec(aigw_call_t *call, apr_pool_t *p);

/* Head and body, in r->pool. Nothing is copied: it must have been written when r->pool, or the bytes that req points to, go. */
apr_bucket_brigade *aigw_upstream_request_brigade(aigw_call_t *call, request_rec *r, int keep_alive, const aigw_http_request_t *req,
                                                  const apr_uri_t *uri, const char *path);

#endif
