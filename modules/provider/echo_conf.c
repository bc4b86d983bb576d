#include "echo_conf.h"
#include "../core/conf.h"
#include "../core/error.h"
#include "aigw_chat.h"
#include "aigw_job.h"

#include <http_core.h>
#include <apr_strings.h>

#define WORDS_MAX 1000000

static const aigw_echo_conf_t defaults = {0, 0, 0, 0, -1, -1};

static int number(const char *s, apr_int64_t min, apr_int64_t max, apr_int64_t *n)
{
    char *end;

    *n = apr_strtoi64(s, &end, 10);
    return end != s && !*end && *n >= min && *n <= max;
}

const char *aigw_echo_configure(aigw_upstream_t *up, apr_pool_t *p, const char *key, const char *value)
{
    aigw_echo_conf_t *conf = up->provider_conf;
    apr_int64_t n = 0;
    int good;

    if (!conf) {
        conf = up->provider_conf = apr_pmemdup(p, &defaults, sizeof defaults);
    }
    if (!strcmp(key, "delay")) {
        good = aigw_conf_time(value, "ms", &conf->delay);
    }
    else if (!strcmp(key, "ttft")) {
        good = aigw_conf_time(value, "ms", &conf->ttft);
    }
    else if (!strcmp(key, "words")) {
        good = number(value, 1, WORDS_MAX, &conf->words);
    }
    else if (!strcmp(key, "fail")) {
        good = number(value, 400, 599, &n);
        conf->fail = (int)n;
    }
    else if (!strcmp(key, "stall")) {
        good = number(value, 0, WORDS_MAX, &conf->stall);
    }
    else if (!strcmp(key, "reset")) {
        good = number(value, 0, WORDS_MAX, &conf->reset);
    }
    else {
        return apr_psprintf(p, "AIGWUpstream echo: there is no setting '%s': known are words, delay, ttft, fail, stall, reset", key);
    }
    return good ? NULL
                : apr_psprintf(p,
                               "AIGWUpstream echo: %s=%s is not understood: write for example words=20 delay=50ms ttft=200ms fail=429 "
                               "stall=5 reset=5",
                               key, value);
}

/* ------------------------------------------------------------------ "aigw_echo" in a request */

static const aigw_error_t *bad(aigw_call_t *call, const char *name)
{
    return aigw_error_make(call->pool, 400, "validation_error", "aigw_echo",
                           "aigw_echo%s%s: expected an object with the integers words, delay_ms, ttft_ms, fail, stall, reset.",
                           name ? "." : "", name ? name : "");
}

static int take(aigw_echo_conf_t *conf, const aigw_json_scan_t *scan, const aigw_json_span_t *name, apr_int64_t n)
{
    if (n < 0 || n > WORDS_MAX) {
        return 0;
    }
    if (aigw_json_string_is(scan, name, "words")) {
        conf->words = n;
    }
    else if (aigw_json_string_is(scan, name, "delay_ms")) {
        conf->delay = apr_time_from_msec(n);
    }
    else if (aigw_json_string_is(scan, name, "ttft_ms")) {
        conf->ttft = apr_time_from_msec(n);
    }
    else if (aigw_json_string_is(scan, name, "stall")) {
        conf->stall = n;
    }
    else if (aigw_json_string_is(scan, name, "reset")) {
        conf->reset = n;
    }
    else if (aigw_json_string_is(scan, name, "fail") && (n == 0 || (n >= 400 && n <= 599))) {
        conf->fail = (int)n;
    }
    else {
        return 0;
    }
    return 1;
}

/* A task's number of steps; 0: it has none. */
static apr_int64_t steps_of(const aigw_call_t *call, const aigw_json_scan_t *scan)
{
    const aigw_json_member_t *steps = scan && !call->client ? aigw_json_member(scan, AIGW_TASK_STEPS) : NULL;
    apr_int64_t n = 0;

    return steps && aigw_json_int(scan, &steps->value, &n) && n > 0 && n <= WORDS_MAX ? n : 0;
}

const aigw_error_t *aigw_echo_conf_of(aigw_call_t *call, aigw_echo_conf_t *conf)
{
    const aigw_echo_conf_t *said = call->model->upstream->provider_conf;
    const aigw_json_scan_t *scan = call->body ? call->body->chat->scan : NULL;
    const aigw_json_member_t *own = scan ? aigw_json_member(scan, "aigw_echo") : NULL;
    aigw_json_span_t name, value;
    apr_size_t pos = 0;
    apr_int64_t n;

    *conf = said ? *said : defaults;
    if ((n = steps_of(call, scan)) > 0) {
        conf->words = n;
    }
    if (!own || !aigw_conf_dir(call->pool, call->per_dir)->echo_request_settings) {
        return NULL;
    }
    if (own->value.kind != AIGW_JSON_OBJECT) {
        return bad(call, NULL);
    }
    while (aigw_json_next(scan, &own->value, &pos, &name, &value)) {
        if (!aigw_json_int(scan, &value, &n) || !take(conf, scan, &name, n)) {
            return bad(call, aigw_json_string(scan, &name, call->pool, 64, NULL));
        }
    }
    return NULL;
}
