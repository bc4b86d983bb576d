#include "call.h"
#include "blocking.h"
#include "engine.h"
#include "park.h"
#include "request.h"
#include "section.h"
#include "tier.h"
#include "aigw_names.h"
#include "aigw_sink.h"

#include <http_log.h>
#include <apr_strings.h>
#include <math.h>

APLOG_USE_MODULE(aigw);

static aigw_call_t *make(apr_pool_t *pool, server_rec *s, ap_conf_vector_t *per_dir, const aigw_identity_t *identity,
                         const aigw_model_t *model)
{
    aigw_call_t *call = apr_pcalloc(pool, sizeof *call);
    aigw_engine_t *eng = apr_pcalloc(pool, sizeof *eng);
    static const aigw_usage_t unknown = {-1, -1, -1, -1, -1};

    call->pool = pool;
    call->server = s;
    call->per_dir = per_dir;
    call->config = ap_create_request_config(pool);
    call->model = model;
    call->max_tokens = -1;
    call->temperature = NAN;
    call->usage = unknown;
    call->created = apr_time_now();
    call->began = aigw_clock_now();
    call->engine = eng;
    eng->call = call;
    eng->conf = aigw_conf_call(pool, per_dir, aigw_tier_conf(s, aigw_tier_name(s, identity)));
    eng->drive.call = call;
    eng->drive.client.fd = eng->drive.upstream.fd = -1;
    return call;
}

/* A pool that hangs on no other, with an allocator of its own: it may be used and destroyed by whatever thread has the call. */
static apr_pool_t *own_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    if (apr_pool_create_unmanaged_ex(&pool, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    apr_pool_tag(pool, "aigw_call");
    return pool;
}

/* A copy that holds when the request is gone. */
static aigw_request_t *copy_context(apr_pool_t *p, const aigw_request_t *from)
{
    aigw_request_t *ctx = apr_pmemdup(p, from, sizeof *ctx);

    ctx->id = apr_pstrdup(p, from->id);
    ctx->traceparent = apr_pstrdup(p, from->traceparent);
    ctx->trace_id = apr_pstrdup(p, from->trace_id);
    ctx->address = apr_pstrdup(p, from->address);
    ctx->identity.user = apr_pstrdup(p, from->identity.user);
    ctx->identity.tier = apr_pstrdup(p, from->identity.tier);
    ctx->identity.method = apr_pstrdup(p, from->identity.method);
    ctx->identity.key_id = apr_pstrdup(p, from->identity.key_id);
    ctx->identity.scopes = aigw_names_copy(p, from->identity.scopes);
    ctx->identity.models = aigw_names_copy(p, from->identity.models);
    ctx->identity.issuer = apr_pstrdup(p, from->identity.issuer);
    ctx->location_models = aigw_names_copy(p, from->location_models);
    ctx->tier_models = aigw_names_copy(p, from->tier_models);
    ctx->section = apr_pstrdup(p, from->section);
    ctx->error = NULL;
    return ctx;
}

aigw_call_t *aigw_call_make(request_rec *r, const aigw_model_t *model)
{
    aigw_request_t *ctx = aigw_request_get(r);
    aigw_call_t *call;
    apr_pool_t *pool = r->pool;

    if (model->upstream->gone == AIGW_GONE_DRAIN && !(pool = own_pool())) {
        pool = r->pool;
    }
    call = make(pool, r->server, r->per_dir_config, &ctx->identity, model);
    call->engine->no_drain = pool == r->pool;
    call->client = r;
    call->context = pool == r->pool ? ctx : copy_context(pool, ctx);
    ctx->model = model->name;
    ctx->upstream = model->upstream->provider_name;
    return call;
}

/* Stands where a model would: the engine asks a model's upstream what becomes of a call whose client goes. */
static aigw_upstream_t no_upstream = {.provider_name = "none", .gone = AIGW_GONE_CANCEL};
static const aigw_model_t no_model = {.name = "", .upstream = &no_upstream};

aigw_call_t *aigw_call_make_watching(request_rec *r, aigw_source_t *source)
{
    aigw_request_t *ctx = aigw_request_get(r);
    aigw_call_t *call = make(r->pool, r->server, r->per_dir_config, &ctx->identity, &no_model);

    call->engine->no_drain = 1;
    call->engine->watching = 1;
    call->client = r;
    call->context = ctx;
    call->source = source;
    return call;
}

aigw_call_t *aigw_call_make_detached(server_rec *s, const aigw_request_t *context, const aigw_model_t *model)
{
    apr_pool_t *pool = own_pool();
    aigw_call_t *call;

    if (!pool) {
        return NULL;
    }
    call = make(pool, s, aigw_section_of(s, context->section, pool), &context->identity, model);
    call->context = copy_context(pool, context);
    call->context->model = model->name;
    call->context->upstream = model->upstream->provider_name;
    return call;
}

/* ------------------------------------------------------------------ events */

static void remember(aigw_call_t *call, const aigw_event_t *ev)
{
    switch (ev->kind) {
    case AIGW_EVENT_TEXT:
    case AIGW_EVENT_TOOL:
    case AIGW_EVENT_RAW:
        if (!call->first_event) {
            call->first_event = call->engine->now;
        }
        call->bytes_out += (apr_off_t)ev->len;
        call->pieces++;
        if (ev->kind == AIGW_EVENT_RAW && (!call->smallest_raw || ev->len < call->smallest_raw)) {
            call->smallest_raw = ev->len;
        }
        break;
    case AIGW_EVENT_USAGE:
        call->usage = *ev->usage;
        break;
    case AIGW_EVENT_FINISH:
        if (ev->choice == 0 && ev->finish_reason && !call->finish_reason) { /* once, and bounded: an upstream may repeat it for ever */
            call->finish_reason = apr_pstrndup(call->pool, ev->finish_reason, AIGW_FINISH_MAX);
        }
        break;
    case AIGW_EVENT_ERROR:
        call->error = ev->error;
        break;
    case AIGW_EVENT_START:
    case AIGW_EVENT_PROGRESS:
    case AIGW_EVENT_END:
        break;
    }
}

apr_status_t aigw_call_emit(aigw_call_t *call, const aigw_event_t *ev)
{
    aigw_engine_t *eng = call->engine;
    apr_status_t rv;

    remember(call, ev);
    aigw_engine_heard(call, eng->now, 1);
    eng->told = 1;
    if (eng->deaf) {
        return APR_ECONNABORTED;
    }
    rv = call->sink->vt->event(call->sink, call, ev);
    if (rv != APR_SUCCESS) {
        eng->deaf = 1;
    }
    return rv;
}

static apr_status_t drop_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    return APR_SUCCESS;
}

static void drop_end(aigw_sink_t *sink, aigw_call_t *call)
{
}

void aigw_call_deafen(aigw_call_t *call)
{
    static const aigw_sink_vt vt = {"nobody", drop_event, NULL, NULL, drop_end};
    static aigw_sink_t nobody = {&vt, NULL};

    call->sink = &nobody;
}

/* ------------------------------------------------------------------ running */

/* Parking costs two hand-overs between threads: an answer that is here in a moment is rather waited for. Streams always are parked where they can be:
 * one thread that serves many of them gathers what came meanwhile. */
static int answers_promptly(const aigw_call_t *call)
{
    apr_uint32_t usual = apr_atomic_read32(&call->model->upstream->answer_time);

    /* a client that leaves meanwhile would leave the worker to drain the answer */
    return !call->stream && call->engine->no_drain && !call->client->connection->master && usual &&
           usual < call->engine->conf->park_after && call->engine->conf->park && aigw_park_supported();
}

int aigw_call_run(request_rec *r, aigw_call_t *call, aigw_sink_t *sink)
{
    aigw_request_t *ctx = aigw_request_get(r);

    call->sink = sink;
    if (!aigw_engine_begin(call)) {
        ctx->mode = "blocking";
        aigw_call_finish(call);
        return OK;
    }
    if (answers_promptly(call) && aigw_blocking_run_until(call, aigw_clock_now() + call->engine->conf->park_after)) {
        ctx->mode = "prompt";
        aigw_call_finish(call);
        return OK;
    }
    if (aigw_park(r, call)) {
        ctx->mode = "parked";
        return SUSPENDED;
    }
    ctx->mode = "blocking";
    aigw_blocking_run(call);
    aigw_call_finish(call);
    return OK;
}

void aigw_call_finish(aigw_call_t *call)
{
    apr_pool_t *own = call->client && call->pool == call->client->pool ? NULL : call->pool;

    aigw_engine_end(call);
    if (own) {
        apr_pool_destroy(own);
    }
}
