#include "sse.h"
#include "answer.h"
#include "stream.h"

#include <http_protocol.h>
#include <util_filter.h>

#define TURN_MAX (64 * 1024) /* more than this is not held back until the flush */
#define KEEP                                                                                                                               \
    0 /* the block is given back after each flush: a stream is silent most of the time, and malloc hands out the same block again */

static const char keep_alive[] = ": keep-alive\n\n";

void aigw_sseout_init(aigw_sseout_t *out, aigw_call_t *call, const aigw_sink_vt *vt, const char *error_event)
{
    out->sink.vt = vt;
    out->sink.baton = out;
    out->error_event = error_event;
    aigw_buffer_init(&out->pending, call->pool);
}

/* Nothing may compress or measure this answer: a filter that gathers would hold events back. */
static void commit(aigw_sseout_t *out, request_rec *r)
{
    out->committed = 1;
    aigw_stream_core->request(r)->streaming = 1;
    r->status = HTTP_OK;
    r->status_line = NULL;
    ap_set_content_type(r, "text/event-stream; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache");
    apr_table_setn(r->headers_out, "X-Accel-Buffering", "no");
    apr_table_unset(r->headers_out, "Content-Length");
    apr_table_unset(r->headers_out, "Content-Encoding");
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
}

/* bb to f; an error, too, where the client turned out to be gone. */
static apr_status_t pass_on(ap_filter_t *f, apr_bucket_brigade *bb, const conn_rec *c)
{
    apr_status_t rv = ap_pass_brigade(f, bb);

    apr_brigade_cleanup(bb);
    return rv != APR_SUCCESS || c->aborted ? APR_ECONNABORTED : APR_SUCCESS;
}

/* What is pending, in one brigade. Its bucket is transient: a filter that keeps it sets it aside, one that writes it at once saves the copy.
 * With the last event goes the chunk that ends the response: one piece instead of two, and no client waits for a worker to see the end. */
static apr_status_t pass(aigw_sseout_t *out, request_rec *r, int flush)
{
    conn_rec *c = r->connection;
    ap_filter_t *f = r->output_filters;
    apr_status_t rv = APR_SUCCESS;

    if (c->aborted) {
        aigw_buffer_clear(&out->pending, 0);
        return APR_ECONNABORTED;
    }
    if (!out->bb) {
        out->bb = apr_brigade_create(r->pool, c->bucket_alloc);
    }
    APR_BRIGADE_INSERT_TAIL(out->bb, apr_bucket_transient_create(out->pending.data, out->pending.len, c->bucket_alloc));
    if (out->finished && out->passed) { /* in the first brigade httpd would count it, and say Content-Length */
        APR_BRIGADE_INSERT_TAIL(out->bb, apr_bucket_eos_create(c->bucket_alloc));
        rv = pass_on(f, out->bb, c);
        f = c->output_filters; /* behind its EOS the request's own filters take nothing */
    }
    else if (!flush) {
        rv = pass_on(f, out->bb, c);
    }
    if (rv == APR_SUCCESS && flush) {
        APR_BRIGADE_INSERT_TAIL(out->bb, apr_bucket_flush_create(c->bucket_alloc));
        rv = pass_on(f, out->bb, c);
    }
    out->passed = 1;
    aigw_buffer_clear(&out->pending, KEEP);
    return rv;
}

/* 1 if there is still somebody to write to and something to say. */
static int open_to(const aigw_sseout_t *out, const aigw_call_t *call)
{
    return call->client && !out->finished;
}

apr_status_t aigw_sseout_bytes(aigw_sseout_t *out, aigw_call_t *call, const char *data, apr_size_t len)
{
    request_rec *r = call->client;
    apr_status_t rv;

    if (!open_to(out, call) || len == 0) {
        return APR_SUCCESS;
    }
    if (r->connection->aborted) {
        return APR_ECONNABORTED;
    }
    if (!out->committed) {
        commit(out, r);
    }
    rv = aigw_buffer_add(&out->pending, data, len);
    return rv == APR_SUCCESS && out->pending.len >= TURN_MAX ? pass(out, r, 1) : rv;
}

static apr_status_t write_event(aigw_sseout_t *out, aigw_call_t *call, const char *event, const char *json)
{
    apr_status_t rv = APR_SUCCESS;

    if (event) {
        rv = aigw_sseout_bytes(out, call, "event: ", 7);
        rv = rv == APR_SUCCESS ? aigw_sseout_bytes(out, call, event, strlen(event)) : rv;
        rv = rv == APR_SUCCESS ? aigw_sseout_bytes(out, call, "\n", 1) : rv;
    }
    rv = rv == APR_SUCCESS ? aigw_sseout_bytes(out, call, "data: ", 6) : rv;
    rv = rv == APR_SUCCESS ? aigw_sseout_bytes(out, call, json, strlen(json)) : rv;
    return rv == APR_SUCCESS ? aigw_sseout_bytes(out, call, "\n\n", 2) : rv;
}

apr_status_t aigw_sseout_json(aigw_sseout_t *out, aigw_call_t *call, const char *event, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    apr_status_t rv = text ? write_event(out, call, event, text) : APR_ENOMEM;

    free(text);
    json_decref(json);
    return rv;
}

apr_status_t aigw_sseout_finish(aigw_sseout_t *out, aigw_call_t *call, const char *last)
{
    apr_status_t rv = last ? aigw_sseout_bytes(out, call, last, strlen(last)) : APR_SUCCESS;

    out->finished = 1;
    return rv;
}

apr_status_t aigw_sseout_fail(aigw_sseout_t *out, aigw_call_t *call, const aigw_error_t *error)
{
    apr_status_t rv;

    if (!open_to(out, call) || !out->committed) {
        return APR_SUCCESS; /* end() says it */
    }
    rv = write_event(out, call, out->error_event, aigw_stream_core->error_json(call->pool, error));
    out->finished = 1;
    return rv;
}

apr_status_t aigw_sseout_flush(aigw_sink_t *sink, aigw_call_t *call)
{
    aigw_sseout_t *out = sink->baton;

    return call->client && out->pending.len ? pass(out, call->client, 1) : APR_SUCCESS;
}

apr_status_t aigw_sseout_silence(aigw_sink_t *sink, aigw_call_t *call)
{
    aigw_sseout_t *out = sink->baton;
    apr_status_t rv = aigw_sseout_bytes(out, call, keep_alive, sizeof keep_alive - 1);

    return rv == APR_SUCCESS ? aigw_sseout_flush(sink, call) : rv;
}

void aigw_sseout_end(aigw_sink_t *sink, aigw_call_t *call)
{
    aigw_sseout_t *out = sink->baton;

    if (!call->client || call->client_gone) {
        return;
    }
    if (!out->finished) {
        const aigw_error_t *error = aigw_answer_failure(call);

        if (!out->committed) {
            aigw_stream_core->error_send(call->client, error);
            return;
        }
        aigw_sseout_fail(out, call, error);
    }
    if (out->pending.len) {
        pass(out, call->client, 0);
    }
}
