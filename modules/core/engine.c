#include "engine.h"
#include "client.h"
#include "error.h"
#include "hooks.h"
#include "request.h"
#include "aigw_provider.h"
#include "aigw_sink.h"
#include "aigw_source.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

#define REST            apr_time_from_msec(1)
#define RESTARTS_MAX    3
#define ANSWER_TIME_MAX 100000 /* us: one slow answer must not count for more */
#define DRAINS_MAX      1000   /* calls of a child that go on without a client: httpd does not count them, so we do */

static volatile apr_uint32_t drains;

/* ------------------------------------------------------------------ the end */

/* The connection goes back as soon as the upstream has nothing more to say: a worker may be waiting for it. */
static void release_source(aigw_call_t *call, int clean)
{
    aigw_engine_t *eng = call->engine;

    if (eng->source_started && !eng->source_released) {
        eng->source_released = 1;
        aigw_reactor_unwatch_upstream(&eng->drive);
        call->source->vt->release(call->source, call, clean);
        call->source->fd = -1;
    }
}

static void over(aigw_call_t *call)
{
    aigw_engine_t *eng = call->engine;

    if (eng->phase < AIGW_PHASE_OVER) {
        eng->phase = AIGW_PHASE_OVER;
        if (eng->drain_counted) {
            eng->drain_counted = 0;
            apr_atomic_dec32(&drains);
        }
        call->ended = aigw_clock_now();
        release_source(call, !call->error && !call->client_gone);
    }
}

void aigw_engine_fail(aigw_call_t *call, const aigw_error_t *error)
{
    aigw_engine_t *eng = call->engine;
    aigw_event_t ev = {.kind = AIGW_EVENT_ERROR};

    if (eng->phase >= AIGW_PHASE_OVER) {
        return;
    }
    call->error = error;
    ev.error = error;
    if (!eng->deaf) {
        call->sink->vt->event(call->sink, call, &ev);
        if (call->sink->vt->flush) {
            call->sink->vt->flush(call->sink, call);
        }
    }
    over(call);
}

/* What the access log says of the call. The context's pool may outlive the call's. */
static void tell_context(aigw_call_t *call, aigw_request_t *ctx, apr_pool_t *p)
{
    int own = p != call->pool;

    ctx->prompt_tokens = call->usage.prompt_tokens;
    ctx->completion_tokens = call->usage.completion_tokens;
    ctx->finish_reason = own ? apr_pstrdup(p, call->finish_reason) : call->finish_reason;
    ctx->upstream_time = call->context->upstream_time;
    if (call->error) {
        ctx->error = own ? aigw_error_copy(p, call->error) : call->error;
    }
}

void aigw_engine_conclude(aigw_call_t *call)
{
    aigw_engine_t *eng = call->engine;

    if (eng->unread) {
        eng->unread = 0;
        eng->now = aigw_clock_now();
        call->source->vt->conclude(call->source, call);
        call->ended = aigw_clock_now();
    }
}

void aigw_engine_end(aigw_call_t *call)
{
    aigw_engine_t *eng = call->engine;

    if (eng->phase == AIGW_PHASE_ENDED) {
        return;
    }
    over(call); /* a park that was broken up ends here without having been OVER */
    eng->phase = AIGW_PHASE_ENDED;
    aigw_engine_conclude(call);
    if (call->client) {
        tell_context(call, aigw_request_get(call->client), call->client->pool);
    }
    call->sink->vt->end(call->sink, call);
    aigw_hooks_settle(call);
    if (call->messages) {
        json_decref(call->messages);
        call->messages = NULL;
    }
}

/* ------------------------------------------------------------------ the beginning */

static int start(aigw_call_t *call)
{
    aigw_engine_t *eng = call->engine;
    const aigw_error_t *error;

    eng->source_started = 1;
    eng->source_released = 0;
    eng->now = aigw_clock_now();
    error = call->source->vt->start(call->source, call);
    eng->started = eng->heard = eng->now = aigw_clock_now();
    if (!eng->said) {
        eng->said = eng->started;
    }
    if (error) {
        aigw_engine_fail(call, error);
        return 0;
    }
    eng->phase = AIGW_PHASE_STARTED;
    return 1;
}

int aigw_engine_begin(aigw_call_t *call)
{
    const aigw_error_t *error = call->engine->watching ? NULL : aigw_hooks_admit(call);

    if (!error && !call->engine->watching) {
        error = call->model->upstream->provider->open(call);
    }
    if (error) {
        aigw_engine_fail(call, error);
        return 0;
    }
    return start(call);
}

int aigw_engine_restart(aigw_call_t *call)
{
    aigw_engine_t *eng = call->engine;

    eng->restart = 0;
    eng->restarts++;
    return start(call);
}

/* ------------------------------------------------------------------ signs of life */

/* A moving average; two threads at once may lose one of their samples. */
static void note_answer_time(volatile apr_uint32_t *average, apr_interval_time_t took)
{
    apr_uint32_t old = apr_atomic_read32(average), sample = took < 1 ? 1 : took > ANSWER_TIME_MAX ? ANSWER_TIME_MAX : (apr_uint32_t)took;

    apr_atomic_set32(average, old ? old - old / 8 + sample / 8 + 1 : sample);
}

void aigw_engine_heard(aigw_call_t *call, apr_time_t now, int head)
{
    aigw_engine_t *eng = call->engine;

    eng->heard = now;
    if (head && !eng->head && !eng->watching) {
        eng->head = 1;
        call->context->upstream_time = now - call->began;
        if (!call->stream && !call->piecewise) {
            note_answer_time(&call->model->upstream->answer_time, now - eng->started);
        }
    }
}

void aigw_engine_client_gone(aigw_call_t *call, apr_time_t now)
{
    aigw_engine_t *eng = call->engine;
    const aigw_upstream_t *up = call->model->upstream;

    if (call->client_gone || eng->phase >= AIGW_PHASE_OVER) {
        return;
    }
    call->client_gone = 1;
    eng->deaf = 1;
    eng->blocked = 0;
    if (up->gone == AIGW_GONE_DRAIN && !eng->no_drain && apr_atomic_read32(&drains) < DRAINS_MAX) {
        apr_atomic_inc32(&drains);
        eng->drain_counted = 1;
        eng->draining = 1;
        eng->drain_until = up->drain_time ? now + up->drain_time : 0;
        return;
    }
    over(call);
}

/* ------------------------------------------------------------------ a turn */

/* Output that the client has not taken. 1: there still is some, and the upstream is not read meanwhile. */
static int client_blocks(aigw_call_t *call, apr_time_t now)
{
    aigw_engine_t *eng = call->engine;

    eng->blocked = 0;
    if (!call->client || !eng->nonblocking || eng->draining) {
        return 0;
    }
    if (aigw_client_pending(call->client) && aigw_client_write_pending(call->client) != APR_SUCCESS) {
        aigw_engine_client_gone(call, now);
        return 0;
    }
    if (!aigw_client_pending(call->client)) {
        eng->blocked_since = 0;
        return 0;
    }
    if (!eng->blocked_since) {
        eng->blocked_since = now;
    }
    eng->heard = now; /* we do not listen: it is not the upstream that is silent */
    eng->blocked = 1;
    return 1;
}

static void earlier(apr_time_t *deadline, apr_time_t t)
{
    if (!*deadline || t < *deadline) {
        *deadline = t;
    }
}

/* A timer: due is set to 1 if it has run out, else it takes part in the next deadline. */
static int run_out(aigw_engine_t *eng, apr_time_t since, apr_interval_time_t interval, apr_time_t now)
{
    if (!interval || !since) {
        return 0;
    }
    if (now - since >= interval) {
        return 1;
    }
    earlier(&eng->deadline, since + interval);
    return 0;
}

/* Which time-out has run out, as an error; NULL: none. Sets the next deadline. */
static const aigw_error_t *timed_out(aigw_call_t *call, apr_time_t now)
{
    aigw_engine_t *eng = call->engine;
    const aigw_dir_conf_t *conf = eng->conf;
    int listening = !call->source->silent && !eng->blocked;

    if (eng->watching) {
        return NULL;
    }
    if (run_out(eng, call->began, conf->total_timeout, now)) {
        return aigw_error_make(call->pool, 504, "upstream_timeout", NULL, "The answer took longer than a call may take in all.");
    }
    if (listening && !eng->head && run_out(eng, eng->started, conf->first_byte_timeout, now)) {
        return aigw_error_make(call->pool, 504, "upstream_timeout", NULL, "The model server did not begin its answer in time.");
    }
    if (listening && eng->head && run_out(eng, eng->heard, conf->idle_timeout, now)) {
        return aigw_error_make(call->pool, 504, "upstream_timeout", NULL, "The model server stopped in the middle of its answer.");
    }
    if (call->stream && run_out(eng, call->first_event, conf->stream_max_time, now)) {
        return aigw_error_make(call->pool, 504, "upstream_timeout", NULL, "The stream went on for longer than is allowed.");
    }
    if ((call->stream || call->piecewise) && conf->stream_max_bytes && call->bytes_out > conf->stream_max_bytes) {
        return aigw_error_make(call->pool, 502, "upstream_invalid_response", NULL, "The stream became longer than is allowed.");
    }
    return NULL;
}

/* Everything that time brings. 1: the call is over. */
static int clock_turn(aigw_call_t *call, apr_time_t now)
{
    aigw_engine_t *eng = call->engine;
    const aigw_error_t *error;

    eng->deadline = eng->rest_until > now ? eng->rest_until : 0;
    if (call->source->wake && !eng->blocked) {
        earlier(&eng->deadline, call->source->wake);
    }
    if ((error = timed_out(call, now)) != NULL) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, call->server, "AIGW0120: [%s] model %s: %s", call->context->id, call->model->name,
                     error->message);
        aigw_engine_fail(call, error);
        return 1;
    }
    if (eng->draining && eng->drain_until) {
        if (now >= eng->drain_until) {
            over(call);
            return 1;
        }
        earlier(&eng->deadline, eng->drain_until);
    }
    if (eng->blocked && run_out(eng, eng->blocked_since, call->server->timeout, now)) {
        aigw_client_abort(call->client); /* as httpd does with a client that takes nothing for Timeout */
        aigw_engine_client_gone(call, now);
        return eng->phase >= AIGW_PHASE_OVER;
    }
    if (call->stream && !eng->deaf && !eng->blocked && call->sink->vt->silence &&
        run_out(eng, eng->said, eng->conf->keepalive_interval, now)) {
        eng->said = now;
        earlier(&eng->deadline, now + eng->conf->keepalive_interval);
        if (call->sink->vt->silence(call->sink, call) != APR_SUCCESS) {
            aigw_engine_client_gone(call, now);
        }
    }
    return eng->phase >= AIGW_PHASE_OVER;
}

/* An upstream that is faster than any reader, a thousand pieces a second and more, is left alone for a moment, so that the next turn finds several: one system call
 * for each of them would cost more than all else. Only in the reactor, which has others to look after; the first piece never waits. */
static void rest(aigw_engine_t *eng, apr_time_t now)
{
    if (eng->nonblocking && eng->fed && now - eng->fed < REST) {
        eng->rest_until = now + REST;
    }
    eng->fed = now;
}

/* What the source made of its turn. */
static aigw_turn_e pump(aigw_call_t *call, apr_time_t now)
{
    aigw_engine_t *eng = call->engine;
    aigw_pump_e rc;

    if (eng->rest_until > now) {
        return AIGW_TURN_WAIT;
    }
    eng->told = 0;
    rc = call->source->vt->pump(call->source, call, now);
    if (eng->told && rc == AIGW_PUMP_WAIT) {
        rest(eng, now);
    }
    if (eng->told && !eng->deaf) {
        eng->said = now;
        if (call->sink->vt->flush && call->sink->vt->flush(call->sink, call) != APR_SUCCESS) {
            aigw_engine_client_gone(call, now);
        }
    }
    else if (eng->deaf && !call->client_gone) {
        aigw_engine_client_gone(call, now);
    }
    if (rc == AIGW_PUMP_DONE) {
        eng->unread = call->source->vt->conclude != NULL;
        over(call);
    }
    else if (rc == AIGW_PUMP_RESTART && eng->phase < AIGW_PHASE_OVER) {
        release_source(call, 0);
        if (eng->restarts < RESTARTS_MAX && !eng->draining) {
            eng->restart = 1;
            return AIGW_TURN_WORKER;
        }
        aigw_engine_fail(
            call, aigw_error_make(call->pool, 502, "upstream_reset", NULL, "The model server closed the connection before it answered."));
    }
    if (eng->phase >= AIGW_PHASE_OVER) {
        return AIGW_TURN_WORKER;
    }
    return rc == AIGW_PUMP_AGAIN ? AIGW_TURN_AGAIN : AIGW_TURN_WAIT;
}

aigw_turn_e aigw_engine_turn(aigw_call_t *call, apr_time_t now)
{
    aigw_engine_t *eng = call->engine;
    int had_client = !eng->draining;
    aigw_turn_e turn = AIGW_TURN_WAIT;

    eng->now = now;
    if (eng->phase >= AIGW_PHASE_OVER || eng->restart) {
        return AIGW_TURN_WORKER;
    }
    if (apr_atomic_read32(&eng->cancelled)) {
        aigw_engine_fail(call, aigw_error_make(call->pool, 503, "shutting_down", NULL, "The call was cancelled."));
        return AIGW_TURN_WORKER;
    }
    if (call->client && !eng->draining && call->client->connection->aborted) {
        aigw_engine_client_gone(call, now);
    }
    if (eng->phase < AIGW_PHASE_OVER && !client_blocks(call, now) && eng->phase < AIGW_PHASE_OVER) {
        turn = pump(call, now);
    }
    if (turn != AIGW_TURN_WORKER && clock_turn(call, now)) {
        turn = AIGW_TURN_WORKER;
    }
    if (turn == AIGW_TURN_WORKER || eng->phase >= AIGW_PHASE_OVER) {
        return AIGW_TURN_WORKER;
    }
    if (had_client && eng->draining && call->client) {
        return AIGW_TURN_DETACH;
    }
    /* what was just written may not have left: then it is the client that we wait for */
    if (!eng->blocked && client_blocks(call, now)) {
        turn = AIGW_TURN_WAIT;
    }
    if (eng->phase >= AIGW_PHASE_OVER) {
        return AIGW_TURN_WORKER;
    }
    return had_client && eng->draining && call->client ? AIGW_TURN_DETACH : turn;
}
