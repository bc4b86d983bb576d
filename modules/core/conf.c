#include "conf.h"
#include "aigw_size.h"
#include "model_conf.h"
#include "redis_conf.h"
#include "store.h"
#include "tier.h"

#include <http_core.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <unistd.h>

#define REACTORS_AUTO_MAX 4
#define REACTORS_MAX      64

/* An unset member takes the base's value. */
#define AIGW_MERGE(to, base, add, member) (to)->member = (add)->member != AIGW_UNSET ? (add)->member : (base)->member
#define AIGW_DEFAULT(conf, member, value)                                                                                                  \
    if ((conf)->member == AIGW_UNSET) {                                                                                                    \
        (conf)->member = (value);                                                                                                          \
    }

/* ------------------------------------------------------------------ create and merge */

void *aigw_conf_dir_create(apr_pool_t *p, char *dir)
{
    aigw_dir_conf_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->errors = conf->park = conf->echo_request_settings = AIGW_UNSET;
    conf->first_byte_timeout = conf->idle_timeout = conf->total_timeout = AIGW_UNSET;
    conf->keepalive_interval = conf->stream_max_time = conf->park_after = AIGW_UNSET;
    conf->stream_max_bytes = conf->max_event_size = conf->max_answer_size = AIGW_UNSET;
    return conf;
}

void *aigw_conf_dir_merge(apr_pool_t *p, void *basev, void *addv)
{
    const aigw_dir_conf_t *base = basev, *add = addv;
    aigw_dir_conf_t *conf = apr_palloc(p, sizeof *conf);

    AIGW_MERGE(conf, base, add, errors);
    AIGW_MERGE(conf, base, add, park);
    AIGW_MERGE(conf, base, add, park_after);
    AIGW_MERGE(conf, base, add, echo_request_settings);
    AIGW_MERGE(conf, base, add, first_byte_timeout);
    AIGW_MERGE(conf, base, add, idle_timeout);
    AIGW_MERGE(conf, base, add, total_timeout);
    AIGW_MERGE(conf, base, add, keepalive_interval);
    AIGW_MERGE(conf, base, add, stream_max_time);
    AIGW_MERGE(conf, base, add, stream_max_bytes);
    AIGW_MERGE(conf, base, add, max_event_size);
    AIGW_MERGE(conf, base, add, max_answer_size);
    return conf;
}

void *aigw_conf_server_create(apr_pool_t *p, server_rec *s)
{
    aigw_server_conf_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->models = apr_array_make(p, 4, sizeof(aigw_model_t *));
    conf->allow_unverified = conf->reactors = conf->defer_queue = AIGW_UNSET;
    conf->connect_timeout = AIGW_UNSET;
    return conf;
}

void *aigw_conf_server_merge(apr_pool_t *p, void *basev, void *addv)
{
    const aigw_server_conf_t *base = basev, *add = addv;
    aigw_server_conf_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->models = aigw_model_conf_merge(p, base->models, add->models);
    conf->default_model = add->default_model ? add->default_model : base->default_model;
    conf->tiers = aigw_tier_merge(p, base->tiers, add->tiers);
    conf->default_tier = add->default_tier ? add->default_tier : base->default_tier;
    AIGW_MERGE(conf, base, add, allow_unverified);
    AIGW_MERGE(conf, base, add, connect_timeout);
    AIGW_MERGE(conf, base, add, reactors);
    AIGW_MERGE(conf, base, add, defer_queue);
    return conf;
}

/* ------------------------------------------------------------------ effective values */

aigw_server_conf_t *aigw_conf_server(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &aigw_module);
}

static aigw_dir_conf_t *fill_in(aigw_dir_conf_t *conf)
{
    AIGW_DEFAULT(conf, errors, 0);
    AIGW_DEFAULT(conf, park, 1);
    AIGW_DEFAULT(conf, park_after, apr_time_from_msec(20));
    AIGW_DEFAULT(conf, echo_request_settings, 0);
    AIGW_DEFAULT(conf, first_byte_timeout, apr_time_from_sec(120));
    AIGW_DEFAULT(conf, idle_timeout, apr_time_from_sec(60));
    AIGW_DEFAULT(conf, total_timeout, apr_time_from_sec(600));
    AIGW_DEFAULT(conf, keepalive_interval, apr_time_from_sec(15));
    AIGW_DEFAULT(conf, stream_max_time, 0);
    AIGW_DEFAULT(conf, stream_max_bytes, 64 * 1024 * 1024);
    AIGW_DEFAULT(conf, max_event_size, 48 * 1024); /* with what one turn reads, 64 KiB are held for a stream */
    AIGW_DEFAULT(conf, max_answer_size, 16 * 1024 * 1024);
    return conf;
}

aigw_dir_conf_t *aigw_conf_dir(apr_pool_t *p, const ap_conf_vector_t *per_dir)
{
    return fill_in(apr_pmemdup(p, ap_get_module_config(per_dir, &aigw_module), sizeof(aigw_dir_conf_t)));
}

aigw_dir_conf_t *aigw_conf_call(apr_pool_t *p, const ap_conf_vector_t *per_dir, const ap_conf_vector_t *tier)
{
    void *inner = tier ? ap_get_module_config(tier, &aigw_module) : NULL;

    return inner ? fill_in(aigw_conf_dir_merge(p, ap_get_module_config(per_dir, &aigw_module), inner)) : aigw_conf_dir(p, per_dir);
}

int aigw_conf_errors(const ap_conf_vector_t *per_dir)
{
    const aigw_dir_conf_t *conf = per_dir ? ap_get_module_config(per_dir, &aigw_module) : NULL;

    return conf && conf->errors == 1;
}

int aigw_conf_reactors(const server_rec *main_server)
{
    int n = aigw_conf_server(main_server)->reactors;

    if (n <= 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        n = cores < 1 ? 1 : cores > REACTORS_AUTO_MAX ? REACTORS_AUTO_MAX : (int)cores;
    }
    return n;
}

int aigw_conf_defer_queue(const server_rec *main_server)
{
    int n = aigw_conf_server(main_server)->defer_queue;

    return n == AIGW_UNSET ? 4096 : n;
}

apr_interval_time_t aigw_conf_connect_timeout(const server_rec *s)
{
    apr_interval_time_t t = aigw_conf_server(s)->connect_timeout;

    return t == AIGW_UNSET ? apr_time_from_sec(5) : t;
}

/* ------------------------------------------------------------------ directives */

int aigw_conf_time(const char *arg, const char *unit, apr_interval_time_t *t)
{
    return apr_isdigit(*arg) && ap_timeout_parameter_parse(arg, t, unit) == APR_SUCCESS && *t >= 0;
}

/* A time: "500ms", "15s" or "15", "2m". cmd->info is the member's offset; zero_ok where 0 means off. */
static const char *time_slot(cmd_parms *cmd, void *base, const char *arg, int zero_ok)
{
    apr_interval_time_t t;

    if (!aigw_conf_time(arg, "s", &t) || (t == 0 && !zero_ok)) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not a time%s: write for example 500ms, 15s, 2min", cmd->cmd->name, arg,
                            zero_ok ? "" : " above zero");
    }
    *(apr_interval_time_t *)((char *)base + (apr_size_t)cmd->info) = t;
    return NULL;
}

static const char *set_time(cmd_parms *cmd, void *conf, const char *arg)
{
    return time_slot(cmd, conf, arg, 0);
}

static const char *set_time_or_off(cmd_parms *cmd, void *conf, const char *arg)
{
    return time_slot(cmd, conf, !ap_cstr_casecmp(arg, "off") ? "0" : arg, 1);
}

static const char *set_connect_timeout(cmd_parms *cmd, void *conf, const char *arg)
{
    return time_slot(cmd, aigw_conf_server(cmd->server), arg, 0);
}

/* A number of bytes with an optional K, M or G; "off" where 0 means no cap. */
static const char *bytes_slot(cmd_parms *cmd, void *conf, const char *arg, apr_off_t min)
{
    apr_off_t n;

    if (min == 0 && !ap_cstr_casecmp(arg, "off")) {
        arg = "0";
    }
    if (!aigw_size_read(arg, &n) || n < min) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is not a number of bytes of at least %" APR_OFF_T_FMT ": write for example 65536, 64K, 16M",
                            cmd->cmd->name, arg, min);
    }
    *(apr_off_t *)((char *)conf + (apr_size_t)cmd->info) = n;
    return NULL;
}

static const char *set_bytes_or_off(cmd_parms *cmd, void *conf, const char *arg)
{
    return bytes_slot(cmd, conf, arg, 0);
}

static const char *set_bytes(cmd_parms *cmd, void *conf, const char *arg)
{
    return bytes_slot(cmd, conf, arg, 1024);
}

/* A whole number from min to max, or -1. */
static int whole_number(const char *arg, int min, int max)
{
    char *end;
    apr_int64_t n = apr_strtoi64(arg, &end, 10);

    return end == arg || *end || n < min || n > max ? -1 : (int)n;
}

static const char *set_reactors(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    int n = ap_cstr_casecmp(arg, "auto") ? whole_number(arg, 1, REACTORS_MAX) : 0;

    if (err) {
        return err;
    }
    if (n < 0) {
        return apr_psprintf(cmd->pool, "AIGWReactors: '%s' is neither auto nor a number from 1 to %d", arg, REACTORS_MAX);
    }
    aigw_conf_server(cmd->server)->reactors = n;
    return NULL;
}

static const char *set_defer_queue(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    int n = whole_number(arg, 16, 1000000);

    if (err) {
        return err;
    }
    if (n < 0) {
        return apr_psprintf(cmd->pool, "AIGWDeferQueue: '%s' is not a number from 16 to 1000000", arg);
    }
    aigw_conf_server(cmd->server)->defer_queue = n;
    return NULL;
}

static const char *set_default_tier(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_conf_server(cmd->server)->default_tier = arg;
    return NULL;
}

static const char *set_default_model(cmd_parms *cmd, void *conf, const char *arg)
{
    aigw_conf_server(cmd->server)->default_model = arg;
    return NULL;
}

static const char *set_allow_unverified(cmd_parms *cmd, void *conf, int on)
{
    aigw_conf_server(cmd->server)->allow_unverified = on;
    return NULL;
}

#define DIR_SLOT(member) (void *)APR_OFFSETOF(aigw_dir_conf_t, member)

const command_rec aigw_conf_commands[] = {
    AP_INIT_FLAG("AIGWErrors", ap_set_flag_slot, DIR_SLOT(errors), RSRC_CONF | ACCESS_CONF,
                 "on: httpd's own errors get the JSON shape of the API"),
    AP_INIT_FLAG("AIGWPark", ap_set_flag_slot, DIR_SLOT(park), RSRC_CONF | ACCESS_CONF, "off: each open answer keeps its worker thread"),
    AP_INIT_TAKE1(
        "AIGWParkAfter", set_time_or_off, DIR_SLOT(park_after), RSRC_CONF | ACCESS_CONF,
        "an answer that is no stream is waited for so long before its connection is parked, where the upstream is usually as fast; or off"),
    AP_INIT_FLAG("AIGWEchoRequestSettings", ap_set_flag_slot, DIR_SLOT(echo_request_settings), RSRC_CONF | ACCESS_CONF,
                 "on: requests may set the built-in model's pace and faults (for tests)"),
    AP_INIT_TAKE1("AIGWFirstByteTimeout", set_time, DIR_SLOT(first_byte_timeout), RSRC_CONF | ACCESS_CONF,
                  "how long an upstream may take to begin its answer"),
    AP_INIT_TAKE1("AIGWIdleTimeout", set_time, DIR_SLOT(idle_timeout), RSRC_CONF | ACCESS_CONF,
                  "how long an upstream may be silent in mid-answer"),
    AP_INIT_TAKE1("AIGWTotalTimeout", set_time, DIR_SLOT(total_timeout), RSRC_CONF | ACCESS_CONF, "how long a call may take in all"),
    AP_INIT_TAKE1("AIGWKeepAliveInterval", set_time_or_off, DIR_SLOT(keepalive_interval), RSRC_CONF | ACCESS_CONF,
                  "a comment line is sent after so much silence in a stream, or off"),
    AP_INIT_TAKE1("AIGWStreamMaxTime", set_time_or_off, DIR_SLOT(stream_max_time), RSRC_CONF | ACCESS_CONF,
                  "how long a stream may go on, or off"),
    AP_INIT_TAKE1("AIGWStreamMaxBytes", set_bytes_or_off, DIR_SLOT(stream_max_bytes), RSRC_CONF | ACCESS_CONF,
                  "how many bytes a stream may have, or off"),
    AP_INIT_TAKE1("AIGWMaxEventSize", set_bytes, DIR_SLOT(max_event_size), RSRC_CONF | ACCESS_CONF,
                  "how large one event of an upstream may be"),
    AP_INIT_TAKE1("AIGWMaxAnswerSize", set_bytes, DIR_SLOT(max_answer_size), RSRC_CONF | ACCESS_CONF,
                  "how large an answer that is no stream may be"),
    AP_INIT_TAKE1("AIGWConnectTimeout", set_connect_timeout, (void *)APR_OFFSETOF(aigw_server_conf_t, connect_timeout), RSRC_CONF,
                  "how long connecting to an upstream may take, TLS handshake included"),
    AP_INIT_TAKE1("AIGWReactors", set_reactors, NULL, RSRC_CONF, "auto, or how many event-loop threads a child has"),
    AP_INIT_TAKE1("AIGWDeferQueue", set_defer_queue, NULL, RSRC_CONF, "how many jobs may wait for a child's background thread"),
    AP_INIT_TAKE1("AIGWDefaultModel", set_default_model, NULL, RSRC_CONF, "the model of requests that name none"),
    AP_INIT_RAW_ARGS("<AIGWTier", aigw_tier_section, NULL, RSRC_CONF, "what users of a tier have: directives as in <Location>"),
    AP_INIT_TAKE1("AIGWDefaultTier", set_default_tier, NULL, RSRC_CONF, "the tier of those who have none, or one that is not configured"),
    AP_INIT_TAKE_ARGV("AIGWStore", aigw_store_set, NULL, RSRC_CONF, "sqlite:PATH, or pgsql:CONNINFO and perhaps password=SOURCE"),
    AP_INIT_TAKE1("AIGWStoreSync", aigw_store_set_sync, NULL, RSRC_CONF, "full: what was accepted survives a power cut; or normal"),
    AP_INIT_TAKE1("AIGWStoreTimeout", aigw_store_set_timeout, NULL, RSRC_CONF, "how long the store may take for one answer"),
    AP_INIT_TAKE1("AIGWStoreConnections", aigw_store_set_connections, NULL, RSRC_CONF, "connections to PostgreSQL of a child"),
    AP_INIT_TAKE_ARGV("AIGWRedis", aigw_redis_conf_server, NULL, RSRC_CONF,
                      "redis://host:port or unix:/path of a Redis, then password=SOURCE, user=NAME, db=N"),
    AP_INIT_ITERATE("AIGWRedisTimeout", aigw_redis_conf_timeout, NULL, RSRC_CONF, "connect=TIME and command=TIME"),
    AP_INIT_TAKE1("AIGWRedisConnections", aigw_redis_conf_connections, NULL, RSRC_CONF,
                  "how many connections to Redis a child has at most"),
    AP_INIT_TAKE1("AIGWRedisFailure", aigw_redis_conf_failure, NULL, RSRC_CONF,
                  "local, open or closed: what holds where Redis does not answer"),
    AP_INIT_TAKE1("AIGWRedisPrefix", aigw_redis_conf_prefix, NULL, RSRC_CONF, "how all keys in Redis begin, with a hash tag in braces"),
    AP_INIT_FLAG("AIGWAllowUnverifiedUpstream", set_allow_unverified, NULL, RSRC_CONF,
                 "on: https upstreams need not be verified (dangerous)"),
    AP_INIT_RAW_ARGS("<AIGWModel", aigw_model_conf_section, NULL, RSRC_CONF, "a model and the upstream that serves it"),
    AP_INIT_RAW_ARGS("AIGWUpstream", aigw_model_conf_upstream, NULL, RSRC_CONF, "provider, URL and key=value settings, inside <AIGWModel>"),
    AP_INIT_ITERATE("AIGWAlias", aigw_model_conf_alias, NULL, RSRC_CONF, "other names of the model, inside <AIGWModel>"),
    AP_INIT_ITERATE("AIGWPrice", aigw_model_conf_price, NULL, RSRC_CONF, "input=N and output=N per million tokens, inside <AIGWModel>"),
    AP_INIT_TAKE1("AIGWContextWindow", aigw_model_conf_window, NULL, RSRC_CONF, "tokens that the model can read, inside <AIGWModel>"),
    AP_INIT_TAKE1("AIGWMaxTokens", aigw_model_conf_max_tokens, NULL, RSRC_CONF,
                  "tokens of an answer where the request does not say, inside <AIGWModel>"),
    AP_INIT_ITERATE("AIGWTokenEstimate", aigw_model_conf_estimate, NULL, RSRC_CONF,
                    "bytes=N of text that make a token, image=N tokens of an image, inside <AIGWModel>"),
    AP_INIT_TAKE1("AIGWOwner", aigw_model_conf_owner, NULL, RSRC_CONF, "owned_by in /v1/models, inside <AIGWModel>"),
    {.name = NULL}};
