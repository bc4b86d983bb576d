#include "http_source.h"
#include "body.h"
#include "call.h"
#include "dry.h"
#include "engine.h"
#include "error.h"
#include "transport.h"
#include "aigw_http_response.h"
#include "aigw_source.h"
#include "aigw_sse.h"

#include <http_log.h>
#include <util_filter.h>
#include <apr_strings.h>

#include <errno.h>
#include <sys/socket.h>

APLOG_USE_MODULE(aigw);

#define TURN_BYTES   (16 * 1024)             /* then others have their turn; with one large event it is what a stream holds of output */
#define TURN_ROUNDS  16                      /* TLS records without data in one turn */
#define TAIL_WAIT    apr_time_from_msec(100) /* after [DONE]: for the end of the body, so that the connection can be used again */
#define FAILURE_MAX  (64 * 1024)             /* of an error's body */
#define GATHER_FIRST 4096

typedef enum { BODY_NONE, BODY_EVENTS, BODY_WHOLE, BODY_FAILURE } body_e;

typedef struct http_source_t {
    aigw_source_t source;
    const aigw_http_request_t *request;
    aigw_conn_t conn;
    aigw_http_response_t *reader;
    aigw_sse_t *sse;
    body_e kind;
    char *whole; /* BODY_WHOLE, BODY_FAILURE: malloc'ed, with the pool */
    apr_size_t whole_len, whole_cap;
    unsigned fresh : 1;    /* the next start() must not reuse a connection */
    unsigned asked : 1;    /* the question has been sent, nothing has been read yet */
    unsigned complete : 1; /* the decoder has all it needs */
    unsigned done : 1;     /* END or ERROR is told */
    unsigned excess : 1;   /* bytes came behind the response: whose are they? */
    unsigned finished : 1; /* the response ended as HTTP says */
    unsigned unread : 1;   /* the decoder has not seen the whole body yet */
} http_source_t;

/* ------------------------------------------------------------------ telling */

static aigw_pump_e fail(http_source_t *hs, aigw_call_t *call, const aigw_error_t *error)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_ERROR};

    ev.error = error;
    hs->done = 1;
    aigw_call_emit(call, &ev);
    return AIGW_PUMP_DONE;
}

static aigw_pump_e end(http_source_t *hs, aigw_call_t *call)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_END};

    hs->done = 1;
    aigw_call_emit(call, &ev);
    return AIGW_PUMP_DONE;
}

static aigw_pump_e invalid(http_source_t *hs, aigw_call_t *call, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server, "AIGW0180: [%s] model %s: the answer of upstream %s cannot be used: %s",
                 call->context->id, call->model->name, call->model->upstream->url, why);
    return fail(hs, call,
                aigw_error_make(call->pool, 502, "upstream_invalid_response", NULL, "The model server's answer could not be used."));
}

/* It is not the upstream's fault. */
static const aigw_error_t *no_memory(aigw_call_t *call)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, APR_ENOMEM, call->server, "AIGW0187: [%s] model %s: no memory for the answer of upstream %s",
                 call->context->id, call->model->name, call->model->upstream->url);
    return aigw_error_make(call->pool, 500, "internal_error", NULL, "The gateway is out of memory.");
}

static aigw_pump_e reset(http_source_t *hs, aigw_call_t *call, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server, "AIGW0181: [%s] model %s: upstream %s broke off its answer: %s", call->context->id,
                 call->model->name, call->model->upstream->url, why);
    return fail(hs, call, aigw_error_make(call->pool, 502, "upstream_reset", NULL, "The model server broke off its answer."));
}

/* ------------------------------------------------------------------ the answer's parts */

static apr_status_t free_whole(void *data)
{
    http_source_t *hs = data;

    free(hs->whole);
    hs->whole = NULL;
    return APR_SUCCESS;
}

/* 1: kept, 0: too much or no memory. */
static int gather(http_source_t *hs, aigw_call_t *call, const char *data, apr_size_t len, apr_size_t max)
{
    if (len > max - hs->whole_len) {
        return 0;
    }
    if (hs->whole_len + len + 1 > hs->whole_cap) {
        apr_size_t cap = hs->whole_cap ? hs->whole_cap : GATHER_FIRST;
        char *bigger;

        while (cap < hs->whole_len + len + 1) {
            cap *= 2;
        }
        if (!(bigger = realloc(hs->whole, cap))) {
            return 0;
        }
        if (!hs->whole) {
            apr_pool_cleanup_register(call->pool, hs, free_whole, apr_pool_cleanup_null);
        }
        hs->whole = bigger;
        hs->whole_cap = cap;
    }
    memcpy(hs->whole + hs->whole_len, data, len);
    hs->whole_len += len;
    hs->whole[hs->whole_len] = '\0';
    return 1;
}

/* The question is no longer needed once an answer has begun: a 20 MB body is not kept for as long as a stream lasts. */
static void drop_request_body(aigw_call_t *call)
{
    if (call->body && call->client) {
        aigw_body_free(call->client, (char *)call->body->data);
        call->body = NULL;
    }
}

static const aigw_error_t *on_head(http_source_t *hs, aigw_call_t *call)
{
    int status = aigw_http_response_status(hs->reader);
    const char *type = apr_table_get(aigw_http_response_headers(hs->reader), "Content-Type");
    const aigw_error_t *error = NULL;

    drop_request_body(call);
    aigw_engine_heard(call, call->engine->now, 1);
    if (status >= 300) {
        hs->kind = BODY_FAILURE;
        return NULL;
    }
    error = hs->request->decoder->head(hs->request->baton, call, status, type ? type : "");
    if (!error && type && !ap_cstr_casecmpn(type, "text/event-stream", 17)) {
        hs->kind = BODY_EVENTS;
        hs->sse = aigw_sse_make(call->pool, (apr_size_t)call->engine->conf->max_event_size);
    }
    else {
        hs->kind = BODY_WHOLE;
    }
    return error;
}

/* Cuts body bytes into events. NULL or what is wrong; *why for the log. */
static const aigw_error_t *on_events(http_source_t *hs, aigw_call_t *call, const char *data, apr_size_t len, const char **why)
{
    const char *end_of_data = data + len;
    const aigw_error_t *error = NULL;
    aigw_sse_event_t sse;
    aigw_sse_step_e step;

    while (!hs->complete && (step = aigw_sse_feed(hs->sse, &data, end_of_data, &sse)) != AIGW_SSE_MORE) {
        aigw_http_event_t ev;
        int rc;

        if (step == AIGW_SSE_TOO_LONG) {
            *why = "an event is larger than AIGWMaxEventSize";
            return NULL;
        }
        if (!sse.data || !sse.data_len) {
            continue; /* an event without data says nothing, and breaks clients if it is passed on */
        }
        ev.data = sse.data;
        ev.len = sse.data_len;
        ev.raw = sse.plain ? sse.raw : NULL;
        ev.raw_len = sse.plain ? sse.raw_len : 0;
        ev.event = sse.event;
        ev.event_len = sse.event_len;
        rc = hs->request->decoder->event(hs->request->baton, call, &ev, &error);
        if (rc < 0) {
            return error;
        }
        hs->complete = rc > 0;
    }
    return NULL;
}

static const aigw_error_t *on_body(http_source_t *hs, aigw_call_t *call, const aigw_http_body_t *body, const char **why)
{
    switch (hs->kind) {
    case BODY_EVENTS:
        return on_events(hs, call, body->data, body->len, why);
    case BODY_WHOLE:
        if (!gather(hs, call, body->data, body->len, (apr_size_t)call->engine->conf->max_answer_size)) {
            if (body->len > (apr_size_t)call->engine->conf->max_answer_size - hs->whole_len) {
                *why = "it is larger than AIGWMaxAnswerSize";
            }
            else {
                return no_memory(call);
            }
        }
        break;
    case BODY_FAILURE: {
        /* the beginning of a huge error page says enough */
        apr_size_t room = FAILURE_MAX - hs->whole_len;
        gather(hs, call, body->data, body->len < room ? body->len : room, FAILURE_MAX);
        break;
    }
    case BODY_NONE:
        break;
    }
    return NULL;
}

/* The response is complete as HTTP says: is it as the provider says? A whole body is read where that may take its time. */
static aigw_pump_e on_done(http_source_t *hs, aigw_call_t *call)
{
    const aigw_error_t *error = NULL;

    hs->finished = 1;
    if (hs->kind != BODY_EVENTS) {
        hs->done = hs->unread = 1;
        return AIGW_PUMP_DONE;
    }
    if (!hs->complete && aigw_sse_pending(hs->sse)) {
        return reset(hs, call, "it ended in the middle of an event");
    }
    error = hs->complete ? NULL : hs->request->decoder->end(hs->request->baton, call);
    return error ? fail(hs, call, error) : end(hs, call);
}

static void http_conclude(aigw_source_t *source, aigw_call_t *call)
{
    http_source_t *hs = source->baton;
    const aigw_http_decoder_t *decoder = hs->request->decoder;
    const char *whole = hs->whole ? hs->whole : "";
    const aigw_error_t *error;

    if (!hs->unread) {
        return;
    }
    hs->unread = 0;
    error = hs->kind == BODY_FAILURE ? decoder->failure(hs->request->baton, call, aigw_http_response_status(hs->reader),
                                                        aigw_http_response_headers(hs->reader), whole, hs->whole_len)
                                     : decoder->body(hs->request->baton, call, whole, hs->whole_len);
    if (error) {
        fail(hs, call, error);
    }
    else {
        end(hs, call);
    }
    free_whole(hs); /* what the sink makes of it is large enough */
}

/* ------------------------------------------------------------------ reading */

/* Nothing came back on a connection that had been used before: most likely it was closed while our request was under way. */
static int stale(const http_source_t *hs)
{
    return hs->conn.reused && !aigw_http_response_started(hs->reader);
}

static aigw_pump_e on_eof(http_source_t *hs, aigw_call_t *call)
{
    if (stale(hs)) {
        hs->fresh = 1;
        return AIGW_PUMP_RESTART;
    }
    if (aigw_http_response_eof(hs->reader) == AIGW_HTTP_DONE) {
        return on_done(hs, call);
    }
    if (hs->complete) { /* the provider has all; the framing's last bytes were lost */
        return end(hs, call);
    }
    return reset(hs, call, aigw_http_response_why(hs->reader));
}

/* The connection was reset, or its TLS broke: a body that only the end of the connection would have ended is not complete. */
static aigw_pump_e on_broken(http_source_t *hs, aigw_call_t *call)
{
    if (stale(hs)) {
        hs->fresh = 1;
        return AIGW_PUMP_RESTART;
    }
    return hs->complete ? end(hs, call) : reset(hs, call, "its connection was reset");
}

/* Feeds one piece to the reader. PUMP_AGAIN: go on. */
static aigw_pump_e feed(http_source_t *hs, aigw_call_t *call, const char *data, apr_size_t len)
{
    const char *end_of_data = data + len, *why = NULL;
    const aigw_error_t *error = NULL;
    aigw_http_body_t body;

    for (;;) {
        switch (aigw_http_response_feed(hs->reader, &data, end_of_data, &body)) {
        case AIGW_HTTP_MORE:
            return AIGW_PUMP_AGAIN;
        case AIGW_HTTP_HEAD:
            error = on_head(hs, call);
            break;
        case AIGW_HTTP_BODY:
            error = on_body(hs, call, &body, &why);
            break;
        case AIGW_HTTP_DONE:
            hs->excess = data != end_of_data;
            return on_done(hs, call);
        case AIGW_HTTP_BAD:
            return hs->complete ? end(hs, call) : invalid(hs, call, aigw_http_response_why(hs->reader));
        }
        if (error) {
            return fail(hs, call, error);
        }
        if (why) {
            return invalid(hs, call, why);
        }
    }
}

/* One nonblocking read of a socket that has no filters. *got: its bytes; PUMP_WAIT: nothing there now. */
static aigw_pump_e receive(http_source_t *hs, aigw_call_t *call, apr_size_t *got)
{
    char buf[TURN_BYTES];
    ssize_t n;

    *got = 0;
    do {
        n = recv(hs->source.fd, buf, sizeof buf, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (apr_size_t)n;
        return feed(hs, call, buf, *got);
    }
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? AIGW_PUMP_WAIT : on_broken(hs, call);
    }
    return on_eof(hs, call);
}

/* The same through the connection's filters. */
static aigw_pump_e read_some(http_source_t *hs, aigw_call_t *call, apr_size_t *got)
{
    proxy_conn_rec *backend = hs->conn.backend;
    apr_bucket_brigade *bb = backend->tmp_bb;
    aigw_pump_e rc = AIGW_PUMP_AGAIN;
    apr_bucket *e;
    apr_status_t rv;

    *got = 0;
    apr_brigade_cleanup(bb);
    rv = ap_get_brigade(backend->connection->input_filters, bb, AP_MODE_READBYTES, APR_NONBLOCK_READ, AP_IOBUFSIZE);
    if (APR_STATUS_IS_EAGAIN(rv) || (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))) {
        return AIGW_PUMP_WAIT; /* on EOF the next read says so */
    }
    for (e = rv == APR_SUCCESS ? APR_BRIGADE_FIRST(bb) : APR_BRIGADE_SENTINEL(bb); e != APR_BRIGADE_SENTINEL(bb) && rc == AIGW_PUMP_AGAIN;
         e = APR_BUCKET_NEXT(e)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_EOS(e)) {
            rv = APR_EOF;
            break;
        }
        if (APR_BUCKET_IS_METADATA(e)) {
            continue;
        }
        if ((rv = apr_bucket_read(e, &data, &len, APR_BLOCK_READ)) != APR_SUCCESS) {
            break;
        }
        *got += len;
        rc = feed(hs, call, data, len);
    }
    if (rc == AIGW_PUMP_AGAIN && rv != APR_SUCCESS) {
        rc = APR_STATUS_IS_EOF(rv) ? on_eof(hs, call) : on_broken(hs, call);
    }
    if (hs->conn.backend && backend->tmp_bb) {
        apr_brigade_cleanup(backend->tmp_bb);
    }
    return rc;
}

static aigw_pump_e http_pump(aigw_source_t *source, aigw_call_t *call, apr_time_t now)
{
    http_source_t *hs = source->baton;
    apr_size_t total = 0, got;
    int rounds = 0;

    if (hs->done) {
        return AIGW_PUMP_DONE;
    }
    if (hs->asked) {
        hs->asked = 0;
        if (hs->conn.plain) {
            return AIGW_PUMP_WAIT; /* the question has just left: spare the read that says so. Behind TLS something may have been read already */
        }
    }
    do {
        aigw_pump_e rc = hs->conn.plain ? receive(hs, call, &got) : read_some(hs, call, &got);

        if (rc == AIGW_PUMP_WAIT && !hs->conn.plain && !aigw_dry(hs->conn.backend->connection)) {
            if (++rounds < TURN_ROUNDS) {
                continue; /* a TLS record without data: the next one may have been read already */
            }
            return AIGW_PUMP_AGAIN;
        }
        if (rc != AIGW_PUMP_AGAIN) {
            if (rc == AIGW_PUMP_WAIT && hs->complete && source->wake && now >= source->wake) {
                return end(hs, call); /* all was said, but the upstream does not end its response: then the connection is not used again */
            }
            return rc;
        }
        if (got) {
            aigw_engine_heard(call, now, 0);
        }
        total += got;
        if (hs->complete && !source->wake) {
            source->wake = now + TAIL_WAIT;
        }
        if (call->engine->deaf) {
            return AIGW_PUMP_WAIT;
        }
        /* a short read: the socket is empty, spare the EAGAIN. Behind TLS there may be more that is decrypted already */
    } while (total < TURN_BYTES && (hs->conn.plain ? got == TURN_BYTES : hs->conn.scheme[4] || got >= APR_BUCKET_BUFF_SIZE));
    return total >= TURN_BYTES ? AIGW_PUMP_AGAIN : AIGW_PUMP_WAIT;
}

/* ------------------------------------------------------------------ begin and end */

static const aigw_error_t *http_start(aigw_source_t *source, aigw_call_t *call)
{
    http_source_t *hs = source->baton;
    const aigw_error_t *error = aigw_transport_open(call, &hs->conn, hs->request, hs->fresh);

    if (error) {
        return error;
    }
    if (!hs->conn.reused) {
        drop_request_body(call); /* only a connection that was used before can be stale, and be asked again */
    }
    hs->asked = 1;
    hs->reader = aigw_http_response_make(call->pool, 0);
    source->fd = aigw_transport_fd(&hs->conn);
    source->wake = 0;
    return NULL;
}

static void http_release(aigw_source_t *source, aigw_call_t *call, int clean)
{
    http_source_t *hs = source->baton;

    aigw_transport_release(&hs->conn, hs->finished && !hs->excess && aigw_http_response_reusable(hs->reader),
                           hs->reader ? aigw_http_response_status(hs->reader) : 0);
}

void aigw_http_source(aigw_call_t *call, const aigw_http_request_t *request)
{
    static const aigw_source_vt vt = {"http", http_start, http_pump, http_release, http_conclude};
    http_source_t *hs = apr_pcalloc(call->pool, sizeof *hs);

    hs->request = request;
    hs->source.vt = &vt;
    hs->source.baton = hs;
    hs->source.fd = -1;
    call->source = &hs->source;
}
