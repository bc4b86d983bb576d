/* The built-in model: a source with a timer instead of a network. What it says is in modules/lib/aigw_echo.c, when it says it here. */
#include "providers.h"
#include "echo_conf.h"
#include "../core/call.h"
#include "../core/error.h"
#include "aigw_chat.h"
#include "aigw_echo.h"

#include <apr_strings.h>

#define WORDS_A_TURN 64

typedef struct echo_t {
    aigw_source_t source;
    aigw_echo_conf_t conf;
    aigw_echo_t *words;
    apr_int64_t total; /* words of one choice */
    apr_int64_t at;    /* the next */
    int choice, choices;
    const char *finish_reason;
    apr_time_t due; /* when the next word is */
    unsigned started : 1;
} echo_t;

/* ------------------------------------------------------------------ the question */

static void on_text(void *baton, const char *role, int last_user, const char *text, apr_size_t len)
{
    aigw_echo_prompt(baton, text, len, last_user);
}

static void read_messages(aigw_echo_t *words, json_t *messages)
{
    apr_size_t i, last = 0;
    json_t *message;

    json_array_foreach(messages, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && !strcmp(role, "user")) {
            last = i;
        }
    }
    json_array_foreach(messages, i, message)
    {
        json_t *content = json_object_get(message, "content");
        aigw_echo_prompt(words, json_string_value(content) ? json_string_value(content) : "", json_string_length(content), i == last);
    }
}

/* ------------------------------------------------------------------ telling */

static apr_status_t tell_text(echo_t *echo, aigw_call_t *call)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_TEXT};

    ev.choice = echo->choice;
    ev.data = aigw_echo_word(echo->words, echo->at, &ev.len);
    return aigw_call_emit(call, &ev);
}

static void tell_finish(echo_t *echo, aigw_call_t *call)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_FINISH};

    ev.choice = echo->choice;
    ev.finish_reason = echo->finish_reason;
    aigw_call_emit(call, &ev);
}

static aigw_pump_e tell_end(echo_t *echo, aigw_call_t *call)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_USAGE};
    aigw_usage_t usage = {0, 0, 0, 0, 0};

    usage.prompt_tokens = aigw_echo_prompt_tokens(echo->words);
    usage.completion_tokens = echo->total * echo->choices;
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    ev.usage = &usage;
    aigw_call_emit(call, &ev);
    memset(&ev, 0, sizeof ev);
    ev.kind = AIGW_EVENT_END;
    aigw_call_emit(call, &ev);
    return AIGW_PUMP_DONE;
}

static aigw_pump_e tell_reset(aigw_call_t *call)
{
    aigw_event_t ev = {.kind = AIGW_EVENT_ERROR};

    ev.error = aigw_error_make(call->pool, 502, "upstream_reset", NULL, "The built-in model was told to break off here.");
    aigw_call_emit(call, &ev);
    return AIGW_PUMP_DONE;
}

/* ------------------------------------------------------------------ the source */

static const aigw_error_t *echo_start(aigw_source_t *source, aigw_call_t *call)
{
    echo_t *echo = source->baton;

    if (echo->conf.fail) {
        return aigw_error_make(call->pool, echo->conf.fail, aigw_error_usual_code(echo->conf.fail), NULL,
                               "The built-in model was told to fail with %d.", echo->conf.fail);
    }
    echo->due = source->wake = aigw_clock_now() + echo->conf.ttft;
    return NULL;
}

/* Faults that are due at this word. PUMP_AGAIN: none. */
static aigw_pump_e fault(echo_t *echo, aigw_call_t *call)
{
    apr_int64_t said = (apr_int64_t)echo->choice * echo->total + echo->at;

    if (echo->conf.reset >= 0 && said >= echo->conf.reset) {
        return tell_reset(call);
    }
    if (echo->conf.stall >= 0 && said >= echo->conf.stall) {
        echo->source.wake = 0;
        return AIGW_PUMP_WAIT;
    }
    return AIGW_PUMP_AGAIN;
}

static aigw_pump_e echo_pump(aigw_source_t *source, aigw_call_t *call, apr_time_t now)
{
    echo_t *echo = source->baton;
    aigw_pump_e rc;
    int i;

    for (i = 0; i < WORDS_A_TURN; i++) {
        if (echo->due > now) {
            source->wake = echo->due;
            return AIGW_PUMP_WAIT;
        }
        if ((rc = fault(echo, call)) != AIGW_PUMP_AGAIN) {
            return rc;
        }
        if (!echo->started) {
            aigw_event_t ev = {.kind = AIGW_EVENT_START};
            echo->started = 1;
            aigw_call_emit(call, &ev);
        }
        if (tell_text(echo, call) != APR_SUCCESS) {
            source->wake = 0;
            return AIGW_PUMP_WAIT;
        }
        if (++echo->at >= echo->total) {
            tell_finish(echo, call);
            echo->at = 0;
            if (++echo->choice >= echo->choices) {
                return tell_end(echo, call);
            }
        }
        /* kept on its beat, unless the client was slower than that */
        echo->due = echo->due + 2 * echo->conf.delay < now ? now + echo->conf.delay : echo->due + echo->conf.delay;
    }
    source->wake = echo->due;
    return AIGW_PUMP_AGAIN;
}

static void echo_release(aigw_source_t *source, aigw_call_t *call, int clean)
{
    source->wake = 0;
}

static const aigw_error_t *echo_open(aigw_call_t *call)
{
    static const aigw_source_vt vt = {"echo", echo_start, echo_pump, echo_release, NULL};
    echo_t *echo = apr_pcalloc(call->pool, sizeof *echo);
    const aigw_error_t *error = aigw_echo_conf_of(call, &echo->conf);
    apr_int64_t max = call->max_tokens >= 0 ? call->max_tokens : call->model->max_tokens ? call->model->max_tokens : -1;

    if (error) {
        return error;
    }
    echo->words = aigw_echo_make(call->pool);
    echo->choices = 1;
    if (call->body) {
        aigw_chat_each_text(call->body->chat, call->pool, on_text, echo->words);
        echo->choices = call->body->chat->n;
    }
    else {
        read_messages(echo->words, call->messages);
    }
    echo->total = aigw_echo_plan(echo->words, echo->conf.words, max, &echo->finish_reason);
    echo->source.vt = &vt;
    echo->source.baton = echo;
    echo->source.fd = -1;
    call->source = &echo->source;
    return NULL;
}

const aigw_provider_t aigw_provider_echo = {0, aigw_echo_configure, echo_open};
