#include "openai_answer.h"
#include "openai_failure.h"
#include "../core/call.h"
#include "../core/conf.h"
#include "../core/error.h"

#include "aigw_completion.h"

#include <http_log.h>
#include <apr_strings.h>
#include <string.h>

APLOG_USE_MODULE(aigw);

struct aigw_openai_answer_t {
    int raw;               /* hand bytes through */
    unsigned finished : 1; /* a finish_reason has come: what follows can only be usage */
};

aigw_openai_answer_t *aigw_openai_answer_make(aigw_call_t *call)
{
    aigw_openai_answer_t *a = apr_pcalloc(call->pool, sizeof *a);

    a->raw = call->raw == AIGW_RAW_OPENAI_CHAT;
    return a;
}

static const aigw_error_t *invalid(aigw_call_t *call, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server, "AIGW0184: [%s] model %s: upstream %s: %s", call->context->id, call->model->name,
                 call->model->upstream->url, why);
    return aigw_error_make(call->pool, 502, "upstream_invalid_response", NULL, "The model server's answer could not be used.");
}

/* ------------------------------------------------------------------ head */

static const aigw_error_t *on_head(void *baton, aigw_call_t *call, int status, const char *type)
{
    int events = !ap_cstr_casecmpn(type, "text/event-stream", 17);
    aigw_event_t ev = {.kind = AIGW_EVENT_START};

    if (call->stream != events && !call->piecewise) {
        return invalid(call, events ? "it streams where it was not asked to" : "it was asked for a stream and answers with something else");
    }
    if (events) {
        aigw_call_emit(call, &ev);
    }
    return NULL;
}

/* ------------------------------------------------------------------ usage and errors */

static void tell_usage(aigw_call_t *call, const aigw_completion_usage_t *said)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_USAGE};
    aigw_usage_t usage;

    usage.prompt_tokens = said->prompt_tokens;
    usage.completion_tokens = said->completion_tokens;
    usage.total_tokens = said->total_tokens;
    usage.cached_tokens = said->cached_tokens;
    usage.reasoning_tokens = said->reasoning_tokens;
    ev.usage = &usage;
    aigw_call_emit(call, &ev);
}

static void find_usage(aigw_call_t *call, const aigw_completion_t *c)
{
    aigw_completion_usage_t usage;

    if (aigw_completion_usage(c, &usage)) {
        tell_usage(call, &usage);
    }
}

static const aigw_error_t *error_of(aigw_call_t *call, const aigw_completion_t *c)
{
    aigw_completion_error_t said;

    aigw_completion_error(c, call->pool, &said);
    return aigw_openai_error(call, 502, &said);
}

static void find_progress(aigw_call_t *call, const aigw_completion_t *c)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_PROGRESS};

    ev.progress = aigw_completion_progress(c);
    if (ev.progress >= 0) {
        aigw_call_emit(call, &ev);
    }
}

/* ------------------------------------------------------------------ raw events: no JSON is scanned for a token */

static void forward(aigw_call_t *call, const aigw_http_event_t *in)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_RAW};
    char *s;
    apr_size_t i;

    ev.data = in->raw;
    ev.len = in->raw_len;
    if (!in->raw) {
        /* other fields than data, or other line ends: clients break on those. A line end inside JSON is white space */
        s = malloc(in->len + 8);
        if (!s) {
            return;
        }
        memcpy(s, "data: ", 6);
        for (i = 0; i < in->len; i++) {
            s[6 + i] = in->data[i] == '\n' || in->data[i] == '\r' ? ' ' : in->data[i];
        }
        memcpy(s + 6 + in->len, "\n\n", 2);
        ev.data = s;
        ev.len = in->len + 8;
        aigw_call_emit(call, &ev);
        free(s);
        return;
    }
    aigw_call_emit(call, &ev);
}

/* An event that may be the usage chunk, or an error: these few are scanned. 1: it must not go on to the client. */
static int look_closer(aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    aigw_json_scan_t scan;
    aigw_completion_t c;

    if (aigw_json_check(&scan, in->data, in->len) != APR_SUCCESS ||
        (scan.root.kind != AIGW_JSON_OBJECT && scan.root.kind != AIGW_JSON_ARRAY)) {
        *error = invalid(call, "an event is not JSON");
        return 0;
    }
    if (aigw_completion_read(&c, &scan) != APR_SUCCESS) {
        return 0; /* an array, which says nothing that we know */
    }
    if (aigw_completion_is_error(&c) && !c.choices.end) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, call->server, "AIGW0185: [%s] model %s: upstream %s ended its stream with an error",
                     call->context->id, call->model->name, call->model->upstream->url);
        *error = error_of(call, &c);
        return 0;
    }
    if (call->piecewise) {
        find_progress(call, &c);
    }
    if (c.usage.end && c.usage.kind == AIGW_JSON_OBJECT) {
        find_usage(call, &c);
        return !call->want_usage && c.choices.end && c.choices.kind == AIGW_JSON_ARRAY && !aigw_completion_has_choices(&c);
    }
    return 0;
}

static int raw_event(aigw_openai_answer_t *a, aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    aigw_completion_peek_t peek;
    int keep = 0;

    aigw_completion_peek(in->data, in->len, &peek);
    if (peek.finish) {
        a->finished = 1;
        if (!call->finish_reason) {
            call->finish_reason =
                apr_pstrndup(call->pool, peek.finish, peek.finish_len < AIGW_FINISH_MAX ? peek.finish_len : AIGW_FINISH_MAX);
        }
    }
    if (peek.closer || call->piecewise) {
        keep = look_closer(call, in, error);
        if (*error) {
            return -1;
        }
    }
    if (!keep) {
        forward(call, in);
    }
    return 0;
}

/* ------------------------------------------------------------------ read events, for the other dialects */

typedef struct telling_t {
    aigw_openai_answer_t *answer;
    aigw_call_t *call;
} telling_t;

static void tell_piece(void *baton, const aigw_completion_piece_t *piece)
{
    static const aigw_event_e kinds[] = {
        [AIGW_COMPLETION_TEXT] = AIGW_EVENT_TEXT, [AIGW_COMPLETION_TOOL] = AIGW_EVENT_TOOL, [AIGW_COMPLETION_FINISH] = AIGW_EVENT_FINISH};
    const telling_t *t = baton;
    aigw_event_t ev = {.kind = kinds[piece->kind]};

    ev.choice = piece->choice;
    ev.data = piece->data;
    ev.len = piece->len;
    ev.tool_index = piece->tool_index;
    ev.tool_id = piece->tool_id;
    ev.tool_name = piece->tool_name;
    ev.finish_reason = piece->finish_reason;
    if (piece->kind == AIGW_COMPLETION_FINISH) {
        t->answer->finished = 1;
    }
    aigw_call_emit(t->call, &ev);
}

/* The choices of a chunk ("delta") or of a whole answer ("message"), and the usage. */
static const aigw_error_t *tell_all(aigw_openai_answer_t *a, aigw_call_t *call, const aigw_completion_t *c, const char *part)
{
    telling_t t = {a, call};

    if (aigw_completion_each(c, part, tell_piece, &t) != APR_SUCCESS) {
        return aigw_error_make(call->pool, 500, "internal_error", NULL, "The gateway is out of memory.");
    }
    find_usage(call, c);
    return NULL;
}

static int read_event(aigw_openai_answer_t *a, aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    aigw_json_scan_t scan;
    aigw_completion_t c;

    if (aigw_json_check(&scan, in->data, in->len) != APR_SUCCESS || aigw_completion_read(&c, &scan) != APR_SUCCESS) {
        *error = invalid(call, "an event is not a JSON object");
    }
    else {
        *error = aigw_completion_is_error(&c) ? error_of(call, &c) : tell_all(a, call, &c, "delta");
        if (call->piecewise && !*error) {
            find_progress(call, &c);
        }
    }
    return *error ? -1 : 0;
}

static int on_event(void *baton, aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    aigw_openai_answer_t *a = baton;

    if (in->len == 6 && !memcmp(in->data, "[DONE]", 6)) {
        return 1;
    }
    return a->raw ? raw_event(a, call, in, error) : read_event(a, call, in, error);
}

static const aigw_error_t *on_end(void *baton, aigw_call_t *call)
{
    const aigw_openai_answer_t *a = baton;

    if (a->finished) {
        return NULL; /* some servers leave [DONE] out */
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, call->server,
                 "AIGW0186: [%s] model %s: upstream %s ended its stream without a finish_reason and without [DONE]", call->context->id,
                 call->model->name, call->model->upstream->url);
    return aigw_error_make(call->pool, 502, "upstream_reset", NULL, "The model server broke off its answer.");
}

/* ------------------------------------------------------------------ whole answers */

/* Two members of one name at the top are refused here: the gateway would count one usage and the client another. */
static const aigw_error_t *raw_body(aigw_call_t *call, const char *data, apr_size_t len)
{
    aigw_json_scan_t scan;
    aigw_completion_t c;
    aigw_event_t ev = {.kind = AIGW_EVENT_RAW};

    if (aigw_json_scan(&scan, call->pool, data, len) != APR_SUCCESS || aigw_completion_read(&c, &scan) != APR_SUCCESS) {
        return invalid(call, "its answer is not a JSON object");
    }
    if (aigw_completion_is_error(&c) && !c.choices.end) {
        return error_of(call, &c);
    }
    call->finish_reason = aigw_completion_finish(&c, call->pool, AIGW_FINISH_MAX);
    ev.data = data;
    ev.len = len;
    aigw_call_emit(call, &ev);
    find_usage(call, &c);
    return NULL;
}

static const aigw_error_t *read_body(aigw_openai_answer_t *a, aigw_call_t *call, const char *data, apr_size_t len)
{
    aigw_json_scan_t scan;
    aigw_completion_t c;

    if (aigw_json_check(&scan, data, len) != APR_SUCCESS || aigw_completion_read(&c, &scan) != APR_SUCCESS) {
        return invalid(call, "its answer is not a JSON object");
    }
    if (aigw_completion_is_error(&c) && !c.choices.end) {
        return error_of(call, &c);
    }
    return aigw_completion_has_choices(&c) ? tell_all(a, call, &c, "message") : invalid(call, "its answer has no choices");
}

static const aigw_error_t *on_body(void *baton, aigw_call_t *call, const char *data, apr_size_t len)
{
    aigw_openai_answer_t *a = baton;

    return a->raw ? raw_body(call, data, len) : read_body(a, call, data, len);
}

const aigw_http_decoder_t aigw_openai_decoder = {on_head, on_event, on_body, on_end, aigw_openai_failure};
