#include "openai_answer.h"
#include "openai_failure.h"
#include "../core/call.h"
#include "../core/conf.h"
#include "../core/error.h"

#include "aigw_json_scan.h"

#include <http_log.h>
#include <apr_strings.h>
#include <string.h>

APLOG_USE_MODULE(aigw);

#define SMALL_MAX (64 * 1024) /* of a value that is parsed out of a large answer */

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

    if (call->stream != events) {
        return invalid(call, events ? "it streams where it was not asked to" : "it was asked for a stream and answers with something else");
    }
    if (events) {
        aigw_call_emit(call, &ev);
    }
    return NULL;
}

/* ------------------------------------------------------------------ usage */

static apr_int64_t count(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);

    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static void tell_usage(aigw_call_t *call, const json_t *object)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_USAGE};
    aigw_usage_t usage;

    usage.prompt_tokens = count(object, "prompt_tokens");
    usage.completion_tokens = count(object, "completion_tokens");
    usage.total_tokens = count(object, "total_tokens");
    usage.cached_tokens = count(json_object_get(object, "prompt_tokens_details"), "cached_tokens");
    usage.reasoning_tokens = count(json_object_get(object, "completion_tokens_details"), "reasoning_tokens");
    ev.usage = &usage;
    aigw_call_emit(call, &ev);
}

/* ------------------------------------------------------------------ raw events: no JSON is parsed for a token */

/* What follows "name" and its colon in a JSON text, or NULL. A quoted name inside a string has a backslash before its last quote, so it is never found. */
static const char *after_name(const char *data, apr_size_t len, const char *quoted)
{
    const char *end = data + len, *p = memmem(data, len, quoted, strlen(quoted));

    if (!p) {
        return NULL;
    }
    for (p += strlen(quoted); p < end && (*p == ' ' || *p == ':' || *p == '\t'); p++) {
    }
    return p < end ? p : NULL;
}

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

/* An event that may be the usage chunk, or an error: these few are parsed. 1: it must not go on to the client. */
static int look_closer(aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    json_t *root = json_loadb(in->data, in->len, 0, NULL);
    const json_t *usage = json_object_get(root, "usage"), *choices = json_object_get(root, "choices"),
                 *err = json_object_get(root, "error");
    int keep = 0;

    if (!root) {
        *error = invalid(call, "an event is not JSON");
    }
    else if ((json_is_object(err) || json_is_string(err)) && !choices) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, call->server, "AIGW0185: [%s] model %s: upstream %s ended its stream with an error",
                     call->context->id, call->model->name, call->model->upstream->url);
        *error = aigw_openai_error_object(call, 502, err);
    }
    else if (json_is_object(usage)) {
        tell_usage(call, usage);
        keep = !call->want_usage && json_is_array(choices) && !json_array_size(choices);
    }
    json_decref(root);
    return keep;
}

static int raw_event(aigw_openai_answer_t *a, aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    const char *p = after_name(in->data, in->len, "\"usage\""), *reason = after_name(in->data, in->len, "\"finish_reason\"");
    int keep = 0;

    if (reason && *reason == '"') {
        const char *end = memchr(reason + 1, '"', (apr_size_t)(in->data + in->len - reason - 1));
        a->finished = 1;
        if (end && !call->finish_reason) {
            call->finish_reason =
                apr_pstrndup(call->pool, reason + 1, end - reason - 1 < AIGW_FINISH_MAX ? (apr_size_t)(end - reason - 1) : AIGW_FINISH_MAX);
        }
    }
    if ((p && *p == '{') || !memmem(in->data, in->len, "\"choices\"", 9)) {
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

/* ------------------------------------------------------------------ parsed events, for the other dialects */

static void tell_text(aigw_call_t *call, int choice, const json_t *content)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_TEXT};

    ev.choice = choice;
    ev.data = json_string_value(content);
    ev.len = json_string_length(content);
    if (ev.len) {
        aigw_call_emit(call, &ev);
    }
}

static void tell_tools(aigw_call_t *call, int choice, const json_t *tools)
{
    apr_size_t i;
    json_t *tool;

    json_array_foreach(tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function"), *index = json_object_get(tool, "index"),
                     *args = json_object_get(function, "arguments");
        aigw_event_t ev = {.kind = AIGW_EVENT_TOOL};

        ev.choice = choice;
        ev.tool_index = json_is_integer(index) ? (int)json_integer_value(index) : (int)i;
        ev.tool_id = json_string_value(json_object_get(tool, "id"));
        ev.tool_name = json_string_value(json_object_get(function, "name"));
        ev.data = json_string_value(args);
        ev.len = json_string_length(args);
        aigw_call_emit(call, &ev);
    }
}

/* The choices of a chunk ("delta") or of a whole answer ("message"). */
static void tell_choices(aigw_openai_answer_t *a, aigw_call_t *call, const json_t *choices, const char *part)
{
    apr_size_t i;
    json_t *choice;

    json_array_foreach(choices, i, choice)
    {
        const json_t *said = json_object_get(choice, part), *index = json_object_get(choice, "index");
        const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
        int n = json_is_integer(index) ? (int)json_integer_value(index) : (int)i;

        tell_text(call, n, json_object_get(said, "content"));
        tell_tools(call, n, json_object_get(said, "tool_calls"));
        if (reason) {
            aigw_event_t ev = {.kind = AIGW_EVENT_FINISH};

            a->finished = 1;
            ev.choice = n;
            ev.finish_reason = reason;
            aigw_call_emit(call, &ev);
        }
    }
}

static int parsed_event(aigw_openai_answer_t *a, aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    json_t *root = json_loadb(in->data, in->len, 0, NULL);
    const json_t *err = json_object_get(root, "error");

    if (!json_is_object(root)) {
        *error = invalid(call, "an event is not a JSON object");
    }
    else if (json_is_object(err) || json_is_string(err)) {
        *error = aigw_openai_error_object(call, 502, err);
    }
    else {
        tell_choices(a, call, json_object_get(root, "choices"), "delta");
        if (json_is_object(json_object_get(root, "usage"))) {
            tell_usage(call, json_object_get(root, "usage"));
        }
    }
    json_decref(root);
    return *error ? -1 : 0;
}

static int on_event(void *baton, aigw_call_t *call, const aigw_http_event_t *in, const aigw_error_t **error)
{
    aigw_openai_answer_t *a = baton;

    if (in->len == 6 && !memcmp(in->data, "[DONE]", 6)) {
        return 1;
    }
    return a->raw ? raw_event(a, call, in, error) : parsed_event(a, call, in, error);
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

/* finish_reason of choices[0], for the log. */
static void remember_finish(aigw_call_t *call, const aigw_json_scan_t *scan, const aigw_json_member_t *choices)
{
    aigw_json_span_t choice, name, value;
    apr_size_t at = 0, pos = 0;

    if (choices->value.kind != AIGW_JSON_ARRAY || !aigw_json_next(scan, &choices->value, &at, NULL, &choice) ||
        choice.kind != AIGW_JSON_OBJECT) {
        return;
    }
    while (aigw_json_next(scan, &choice, &pos, &name, &value)) {
        if (aigw_json_string_is(scan, &name, "finish_reason") && value.kind == AIGW_JSON_STRING) {
            call->finish_reason = aigw_json_string(scan, &value, call->pool, AIGW_FINISH_MAX, NULL);
        }
    }
}

/* One small value of a large text, as a tree. */
static json_t *small_value(const aigw_json_scan_t *scan, const aigw_json_member_t *member)
{
    apr_size_t len = member ? member->value.end - member->value.start : 0;

    return len && len <= SMALL_MAX ? json_loadb(scan->text + member->value.start, len, JSON_DECODE_ANY, NULL) : NULL;
}

/* Scanned, not parsed: this runs in the reactor, and a tree of a large answer takes a hundred times as long, and its memory. */
static const aigw_error_t *raw_body(aigw_call_t *call, const char *data, apr_size_t len)
{
    aigw_json_scan_t scan;
    const aigw_json_member_t *choices;
    aigw_event_t ev = {.kind = AIGW_EVENT_RAW};
    const aigw_error_t *error = NULL;
    json_t *usage, *err;

    if (aigw_json_scan(&scan, call->pool, data, len) != APR_SUCCESS || scan.root.kind != AIGW_JSON_OBJECT) {
        return invalid(call, "its answer is not a JSON object");
    }
    choices = aigw_json_member(&scan, "choices");
    err = small_value(&scan, aigw_json_member(&scan, "error"));
    if ((json_is_object(err) || json_is_string(err)) && !choices) {
        error = aigw_openai_error_object(call, 502, err);
        json_decref(err);
        return error;
    }
    json_decref(err);
    if (choices) {
        remember_finish(call, &scan, choices);
    }
    ev.data = data;
    ev.len = len;
    aigw_call_emit(call, &ev);
    usage = small_value(&scan, aigw_json_member(&scan, "usage"));
    if (json_is_object(usage)) {
        tell_usage(call, usage);
    }
    json_decref(usage);
    return NULL;
}

static const aigw_error_t *parsed_body(aigw_openai_answer_t *a, aigw_call_t *call, const char *data, apr_size_t len)
{
    json_t *root = json_loadb(data, len, 0, NULL);
    const json_t *err = json_object_get(root, "error");
    const aigw_error_t *error = NULL;

    if (!json_is_object(root)) {
        error = invalid(call, "its answer is not a JSON object");
    }
    else if ((json_is_object(err) || json_is_string(err)) && !json_object_get(root, "choices")) {
        error = aigw_openai_error_object(call, 502, err);
    }
    else if (!json_array_size(json_object_get(root, "choices"))) {
        error = invalid(call, "its answer has no choices");
    }
    else {
        tell_choices(a, call, json_object_get(root, "choices"), "message");
        if (json_is_object(json_object_get(root, "usage"))) {
            tell_usage(call, json_object_get(root, "usage"));
        }
    }
    json_decref(root);
    return error;
}

static const aigw_error_t *on_body(void *baton, aigw_call_t *call, const char *data, apr_size_t len)
{
    aigw_openai_answer_t *a = baton;

    return a->raw ? raw_body(call, data, len) : parsed_body(a, call, data, len);
}

const aigw_http_decoder_t aigw_openai_decoder = {on_head, on_event, on_body, on_end, aigw_openai_failure};
