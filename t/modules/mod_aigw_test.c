/* A third-party module of the test suite: it takes part in the core's hooks, brings a provider of its own, runs calls without a client and queues work, all through
 * the public headers. Its counters are in shared memory, so that a test sees every child's.
 */
#include "aigw.h"
#include "aigw_hooks.h"
#include "test_store.h"

#include <ap_mpm.h>
#include <ap_provider.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mpm_common.h>
#include <unixd.h>
#include <util_script.h>
#include <apr_atomic.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <stdlib.h>
#include <unistd.h>

extern module AP_MODULE_DECLARE_DATA aigw_test_module;

#define CHURNS     40000
#define CHURN_LOOK 64

typedef struct counts_t {
    volatile apr_uint32_t admitted, refused, settled, settled_error, settled_gone, settled_usage, deferred, detached_ended;
} counts_t;

static const aigw_core_t *core;
static counts_t *counts;

/* ------------------------------------------------------------------ hooks */

static int on_admit(aigw_call_t *call, const aigw_error_t **error)
{
    if (!strcmp(call->model->name, "test-refused")) {
        aigw_error_t *e = core->error_make(call->pool, 429, "quota_exceeded", NULL, "This model is refused by the test.");
        e->retry_after = apr_time_from_msec(1500);
        e->no_retry = 1;
        *error = e;
        apr_atomic_inc32(&counts->refused);
        return HTTP_TOO_MANY_REQUESTS;
    }
    apr_atomic_inc32(&counts->admitted);
    return OK;
}

/* Behind all others, who have said yes by then. */
static int on_admit_last(aigw_call_t *call, const aigw_error_t **error)
{
    if (!strcmp(call->model->name, "test-refused-last")) {
        *error = core->error_make(call->pool, 429, "quota_exceeded", NULL, "This model is refused by the test.");
        return HTTP_TOO_MANY_REQUESTS;
    }
    return OK;
}

static void count_deferred(void *baton, apr_pool_t *p)
{
    apr_atomic_inc32(&counts->deferred);
}

static int on_settle(aigw_call_t *call)
{
    apr_atomic_inc32(&counts->settled);
    if (call->error) {
        apr_atomic_inc32(&counts->settled_error);
    }
    if (call->client_gone) {
        apr_atomic_inc32(&counts->settled_gone);
    }
    if (call->usage.completion_tokens > 0) {
        apr_atomic_inc32(&counts->settled_usage);
    }
    core->defer("test settle", count_deferred, NULL);
    return OK;
}

/* ------------------------------------------------------------------ a provider */

static const aigw_error_t *source_start(aigw_source_t *source, aigw_call_t *call)
{
    source->wake = aigw_clock_now();
    return NULL;
}

static aigw_pump_e source_pump(aigw_source_t *source, aigw_call_t *call, apr_time_t now)
{
    static const aigw_usage_t usage = {1, 2, 3, 0, 0};
    aigw_event_t events[] = {{.kind = AIGW_EVENT_START},
                             {.kind = AIGW_EVENT_TEXT, .data = "third", .len = 5},
                             {.kind = AIGW_EVENT_TEXT, .data = " party", .len = 6},
                             {.kind = AIGW_EVENT_FINISH, .finish_reason = "stop"},
                             {.kind = AIGW_EVENT_USAGE, .usage = &usage},
                             {.kind = AIGW_EVENT_END}};
    int i;

    for (i = 0; i < (int)(sizeof events / sizeof events[0]); i++) {
        core->call_emit(call, &events[i]);
    }
    return AIGW_PUMP_DONE;
}

static void source_release(aigw_source_t *source, aigw_call_t *call, int clean)
{
    source->wake = 0;
}

static const char *provider_configure(aigw_upstream_t *up, apr_pool_t *p, const char *key, const char *value)
{
    return apr_psprintf(p, "AIGWUpstream test: there is no setting '%s'", key);
}

static const aigw_error_t *provider_open(aigw_call_t *call)
{
    static const aigw_source_vt vt = {"test", source_start, source_pump, source_release, NULL};

    call->source = apr_pcalloc(call->pool, sizeof *call->source);
    call->source->vt = &vt;
    call->source->fd = -1;
    return NULL;
}

static const aigw_provider_t provider = {0, provider_configure, provider_open};

/* ------------------------------------------------------------------ calls without a client */

/* What a detached call leaves behind; the call's own pool is gone when the handler looks. */
typedef struct result_t {
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *cond;
    char text[8192];
    apr_size_t len;
    char finish[32], error[64];
    apr_int64_t prompt, completion;
    int begun, ended, ends;
} result_t;

static apr_status_t sink_event(aigw_sink_t *sink, aigw_call_t *call, const aigw_event_t *ev)
{
    result_t *res = sink->baton;

    apr_thread_mutex_lock(res->mutex);
    if (ev->kind == AIGW_EVENT_TEXT && ev->len < sizeof res->text - res->len) {
        memcpy(res->text + res->len, ev->data, ev->len);
        res->len += ev->len;
        res->begun = 1;
        apr_thread_cond_signal(res->cond);
    }
    apr_thread_mutex_unlock(res->mutex);
    return APR_SUCCESS;
}

static void sink_end(aigw_sink_t *sink, aigw_call_t *call)
{
    result_t *res = sink->baton;

    apr_thread_mutex_lock(res->mutex);
    apr_cpystrn(res->finish, call->finish_reason ? call->finish_reason : "-", sizeof res->finish);
    apr_cpystrn(res->error, call->error ? call->error->code ? call->error->code : "error" : "-", sizeof res->error);
    res->prompt = call->usage.prompt_tokens;
    res->completion = call->usage.completion_tokens;
    res->ended = 1;
    res->ends++;
    apr_atomic_inc32(&counts->detached_ended);
    apr_thread_cond_signal(res->cond);
    apr_thread_mutex_unlock(res->mutex);
}

/* Waits under the mutex until *flag. 0: not within 15 s. */
static int wait_for(result_t *res, const int *flag)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(15);

    while (!*flag && apr_time_now() < until) {
        apr_thread_cond_timedwait(res->cond, res->mutex, apr_time_from_sec(1));
    }
    return *flag;
}

static int run_detached(request_rec *r, const char *model_name, const char *text, int cancel)
{
    static const aigw_sink_vt vt = {"test", sink_event, NULL, NULL, sink_end};
    const aigw_model_t *model = core->model_find(r->server, model_name);
    result_t *res = calloc(1, sizeof *res); /* outlives a handler that gives up */
    aigw_call_t *call = model ? core->call_make_detached(r->server, core->request(r), model) : NULL;
    aigw_sink_t *sink;
    int ended;

    if (!call || !res) {
        free(res);
        return HTTP_NOT_FOUND;
    }
    apr_thread_mutex_create(&res->mutex, APR_THREAD_MUTEX_DEFAULT, r->server->process->pool);
    apr_thread_cond_create(&res->cond, r->server->process->pool);
    call->messages = json_pack("[{s:s,s:s}]", "role", "user", "content", text);
    call->stream = 1;
    sink = apr_pcalloc(call->pool, sizeof *sink);
    sink->vt = &vt;
    sink->baton = res;
    if (core->call_start(call, sink) != APR_SUCCESS) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    apr_thread_mutex_lock(res->mutex);
    if (cancel && wait_for(res, &res->begun)) {
        core->call_cancel(call);
    }
    wait_for(res, &res->ended);
    ap_rprintf(r, "text=%.*s finish=%s error=%s usage=%d/%d ends=%d\n", (int)res->len, res->text, res->finish, res->error, (int)res->prompt,
               (int)res->completion, res->ends);
    ended = res->ended;
    apr_thread_mutex_unlock(res->mutex);
    if (ended) {
        free(res);
    }
    return OK;
}

/* ------------------------------------------------------------------ handlers */

static const char *arg(request_rec *r, const char *name, const char *otherwise)
{
    apr_table_t *args;
    const char *value;

    ap_args_to_table(r, &args);
    value = apr_table_get(args, name);
    return value ? value : otherwise;
}

static void slow_job(void *baton, apr_pool_t *p)
{
    usleep((useconds_t)(apr_uintptr_t)baton * 1000);
    apr_atomic_inc32(&counts->deferred);
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, ap_server_conf, "a test job is done");
}

static volatile apr_uint32_t let_go; /* of this child */

/* Lasts until somebody says go. */
static void held_job(void *baton, apr_pool_t *p)
{
    int i;

    for (i = 0; i < 60000 && !apr_atomic_read32(&let_go); i++) {
        usleep(1000);
    }
    apr_atomic_inc32(&counts->deferred);
}

/* Queues n jobs of ms each and says how many were taken, at once. With hold one that lasts until a request says go. */
static int run_defer(request_rec *r)
{
    int i, n = atoi(arg(r, "n", "1")), taken = 0;
    apr_uintptr_t ms = (apr_uintptr_t)atoi(arg(r, "ms", "0"));

    apr_atomic_set32(&let_go, atoi(arg(r, "go", "0")) != 0);
    if (atoi(arg(r, "hold", "0"))) {
        taken += core->defer("held job", held_job, NULL) == APR_SUCCESS;
        n = 0;
    }
    for (i = 0; i < n; i++) {
        taken += core->defer("test job", slow_job, (void *)ms) == APR_SUCCESS;
    }
    ap_rprintf(r, "taken=%d deferred=%u\n", taken, apr_atomic_read32(&counts->deferred));
    return OK;
}

static volatile apr_uint32_t churned, shared;
static apr_pool_t *pchild;

/* Takes memory and gives it back, as much as a request does; nobody else may write there meanwhile. */
static void churn(apr_pool_t *p, char mark)
{
    apr_pool_t *sub;
    char *got[8];
    int i;

    apr_pool_create(&sub, p);
    for (i = 1; i < 8; i++) {
        got[i] = apr_palloc(sub, (apr_size_t)i * 7000);
        memset(got[i], mark, CHURN_LOOK);
    }
    for (i = 1; i < 8; i++) {
        if (memchr(got[i], !mark, CHURN_LOOK)) {
            apr_atomic_set32(&shared, 1);
        }
    }
    apr_pool_destroy(sub);
}

static void churn_job(void *baton, apr_pool_t *p)
{
    int i;

    for (i = 0; i < CHURNS; i++) {
        churn(p, 1);
    }
    apr_atomic_set32(&churned, 1);
}

static void *APR_THREAD_FUNC churn_thread(apr_thread_t *thread, void *data)
{
    churn_job(NULL, pchild);
    return NULL;
}

/* A thread and a request use memory at the same time: prefork's pools are not made for that. It is the background thread, or as mod_watchdog makes one. */
static int run_churn(request_rec *r)
{
    apr_thread_t *thread;

    apr_atomic_set32(&churned, 0);
    if ((r->args ? ap_thread_create(&thread, NULL, churn_thread, NULL, pchild) : core->defer("test churn", churn_job, NULL)) !=
        APR_SUCCESS) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    while (!apr_atomic_read32(&churned)) {
        churn(r->pool, 0);
    }
    ap_rputs(apr_atomic_read32(&shared) ? "shared\n" : "churned\n", r);
    return OK;
}

/* Two threads and one number, without a lock: ThreadSanitizer must say so, or it looks at nothing (t/tools/stress.pl). */
static int race_number;

static void *APR_THREAD_FUNC race_second(apr_thread_t *thread, void *data)
{
    race_number++;
    return NULL;
}

static int run_race(request_rec *r)
{
    apr_thread_t *thread;
    apr_status_t rv = ap_thread_create(&thread, NULL, race_second, NULL, r->pool);

    if (rv != APR_SUCCESS) {
        return HTTP_SERVICE_UNAVAILABLE;
    }
    race_number++;
    apr_thread_join(&rv, thread);
    ap_rputs("raced\n", r);
    return OK;
}

/* ------------------------------------------------------------------ <AIGWTier> */

/* AIGWTestTier TEXT: per directory, the text. */
static void *create_dir(apr_pool_t *p, char *dir)
{
    return apr_pcalloc(p, sizeof(const char *));
}

static const char *set_tier_text(cmd_parms *cmd, void *dir, const char *arg)
{
    *(const char **)dir = arg;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("AIGWTestTier", set_tier_text, NULL, RSRC_CONF | ACCESS_CONF, "what aigw-test-tier says to users of this tier"),
    {.name = NULL}};

static int print_tier(request_rec *r)
{
    const ap_conf_vector_t *tier = core->tier_conf(r->server, core->tier_name(r->server, &core->request(r)->identity));
    const char *const *text = tier ? ap_get_module_config(tier, &aigw_test_module) : NULL;

    ap_rprintf(r, "%s\n", text && *text ? *text : "nothing");
    return OK;
}

/* ------------------------------------------------------------------ Redis */

static const char *outcome(apr_status_t rv)
{
    return rv == APR_SUCCESS        ? "ok"
           : rv == APR_EAGAIN       ? "again"
           : rv == APR_TIMEUP       ? "timeup"
           : rv == APR_ECONNREFUSED ? "refused"
           : rv == APR_ECONNRESET   ? "reset"
                                    : "other";
}

static void print_reply(request_rec *r, const aigw_redis_reply_t *reply)
{
    int i;

    switch (reply->kind) {
    case AIGW_REDIS_NIL:
        ap_rputs(" nil", r);
        break;
    case AIGW_REDIS_INTEGER:
        ap_rprintf(r, " %" APR_INT64_T_FMT, reply->integer);
        break;
    case AIGW_REDIS_ARRAY:
        ap_rputs(" [", r);
        for (i = 0; i < reply->count && i < 20; i++) {
            print_reply(r, &reply->elements[i]);
        }
        ap_rprintf(r, " ]%d", reply->count);
        break;
    default:
        ap_rprintf(r, " %s%s/%" APR_SIZE_T_FMT, reply->kind == AIGW_REDIS_ERROR ? "error:" : "", reply->len > 100 ? "..." : reply->data,
                   reply->len);
    }
}

/* ?cmd=GET+key or ?eval=1+key+argument (of a script that never changes), n times; ?away, ?about. A word "%00" is a NUL byte. */
static int run_redis(request_rec *r)
{
    static aigw_redis_script_t script = {.name = "test", .text = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[1], KEYS[1]}"};
    aigw_redis_t *redis = core->redis();
    const aigw_redis_reply_t *reply = NULL;
    const char *eval = arg(r, "eval", NULL);
    char **words;
    apr_size_t lens[64];
    int i, argc, n = atoi(arg(r, "n", "1"));
    apr_status_t rv = APR_SUCCESS;

    if (!redis) {
        ap_rputs("none\n", r);
        return OK;
    }
    if (arg(r, "away", NULL)) {
        ap_rprintf(r, "away=%d\n", core->redis_vt->away(redis));
        return OK;
    }
    if (arg(r, "about", NULL)) {
        ap_rprintf(r, "failure=%d prefix=%s\n", core->redis_vt->failure(redis), core->redis_vt->prefix(redis));
        return OK;
    }
    apr_tokenize_to_argv(eval ? eval : arg(r, "cmd", "PING"), &words, r->pool);
    for (argc = 0; words[argc] && argc < 64; argc++) {
        lens[argc] = !strcmp(words[argc], "%00") ? 1 : strlen(words[argc]);
        words[argc] = !strcmp(words[argc], "%00") ? apr_pcalloc(r->pool, 2) : words[argc];
    }
    for (i = 0; i < n; i++) {
        const apr_size_t *sizes = arg(r, "lens", NULL) ? lens : NULL;

        rv = eval ? core->redis_vt->eval(redis, r->pool, &script, atoi(words[0]), argc - 1, (const char *const *)words + 1,
                                         sizes ? sizes + 1 : NULL, &reply)
                  : core->redis_vt->command(redis, r->pool, argc, (const char *const *)words, sizes, &reply);
        ap_rputs(outcome(rv), r);
        if (rv == APR_SUCCESS) {
            print_reply(r, reply);
        }
        ap_rputs("\n", r);
    }
    return OK;
}

/* ------------------------------------------------------------------ handlers */

static int print_counts(request_rec *r)
{
    ap_rprintf(r,
               "{\"admitted\":%u,\"refused\":%u,\"settled\":%u,\"settled_error\":%u,\"settled_gone\":%u,\"settled_usage\":%u,\"deferred\":%"
               "u,\"detached_ended\":%u}\n",
               counts->admitted, counts->refused, counts->settled, counts->settled_error, counts->settled_gone, counts->settled_usage,
               counts->deferred, counts->detached_ended);
    return OK;
}

static int run_store(request_rec *r)
{
    char *body;
    apr_size_t len;

    if (core->body_read(r, 1024 * 1024, &body, &len)) {
        return HTTP_BAD_REQUEST;
    }
    ap_rputs(test_store(r, core, apr_pstrmemdup(r->pool, body, len)), r);
    return OK;
}

static int handler(request_rec *r)
{
    if (!r->handler || strncmp(r->handler, "aigw-test-", 10) || !core) {
        return DECLINED;
    }
    ap_set_content_type(r, "text/plain");
    if (!strcmp(r->handler, "aigw-test-counts")) {
        return print_counts(r);
    }
    if (!strcmp(r->handler, "aigw-test-tier")) {
        return print_tier(r);
    }
    if (!strcmp(r->handler, "aigw-test-defer")) {
        return run_defer(r);
    }
    if (!strcmp(r->handler, "aigw-test-churn")) {
        return run_churn(r);
    }
    if (!strcmp(r->handler, "aigw-test-race")) {
        return run_race(r);
    }
    if (!strcmp(r->handler, "aigw-test-redis")) {
        return run_redis(r);
    }
    if (!strcmp(r->handler, "aigw-test-store")) {
        return run_store(r);
    }
    return run_detached(r, arg(r, "model", "echo"), arg(r, "text", "one two three"), atoi(arg(r, "cancel", "0")));
}

static void get_core(void)
{
    APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);

    core = get ? get(AIGW_CORE_VERSION) : NULL;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_shm_t *shm;

    if (apr_shm_create(&shm, sizeof *counts, NULL, pconf) != APR_SUCCESS) {
        return !OK;
    }
    counts = apr_shm_baseaddr_get(shm);
    memset((void *)counts, 0, sizeof *counts);
    return OK;
}

static void child_init(apr_pool_t *p, server_rec *s)
{
    pchild = p;
}

/* What httpd's event MPM does on a busy machine: its main thread says that the child runs after another one has said that it is stopping. */
static void child_stopping(apr_pool_t *p, int graceful)
{
    if (getenv("AIGW_TEST_RUNS_ON")) {
        ap_unixd_mpm_get_retained_data()->mpm_state = AP_MPMQ_RUNNING;
    }
}

/* … and its listener ends before a worker has begun with what it has accepted: the MPM counts a connection behind this. */
static conn_rec *create_connection(apr_pool_t *p, server_rec *s, apr_socket_t *csd, long id, void *sbh, apr_bucket_alloc_t *alloc)
{
    if (getenv("AIGW_TEST_RUNS_ON") && sbh) {
        apr_sleep(apr_time_from_msec(50));
    }
    return NULL;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_create_connection(create_connection, NULL, NULL, APR_HOOK_FIRST);
    ap_register_provider(p, AIGW_PROVIDER_GROUP, "test", AIGW_PROVIDER_VERSION, &provider);
    ap_register_provider(p, AIGW_TIER_DIRECTIVE, "AIGWTestTier", "0", &aigw_test_module);
    ap_hook_optional_fn_retrieve(get_core, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(aigw, call_admit, on_admit, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(aigw, call_admit, on_admit_last, NULL, NULL, APR_HOOK_REALLY_LAST);
    APR_OPTIONAL_HOOK(aigw, call_settle, on_settle, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(aigw_test) = {STANDARD20_MODULE_STUFF, create_dir, NULL, NULL, NULL, commands, register_hooks, AP_MODULE_FLAG_NONE};
