/* The store in Redis, the one of AIGWRedis: for several machines that have one anyway. Each operation is a script (redis_*.lua), and so one step. */
#include "store_redis.h"
#include "stores.h"
#include "aigw_own_pool.h"

#include <http_log.h>
#include <apr_atomic.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

/* ------------------------------------------------------------------ words */

aigw_store_redis_args_t aigw_store_redis_args(const aigw_store_redis_t *self, apr_pool_t *p, int n)
{
    const aigw_store_redis_args_t args = {p, apr_array_make(p, n + 1, sizeof(const char *))};

    APR_ARRAY_PUSH(args.words, const char *) = apr_pstrcat(p, aigw_redis_functions.prefix(self->redis), "tasks", NULL);
    return args;
}

void aigw_store_redis_add(aigw_store_redis_args_t *args, const char *word)
{
    APR_ARRAY_PUSH(args->words, const char *) = word ? word : "";
}

void aigw_store_redis_add_int(aigw_store_redis_args_t *args, apr_int64_t n)
{
    aigw_store_redis_add(args, apr_psprintf(args->p, "%" APR_INT64_T_FMT, n));
}

apr_int64_t aigw_store_redis_int(const aigw_redis_reply_t *field)
{
    return field->kind == AIGW_REDIS_INTEGER ? field->integer : field->kind == AIGW_REDIS_STRING ? apr_atoi64(field->data) : 0;
}

const char *aigw_store_redis_text(const aigw_redis_reply_t *field)
{
    return field->kind == AIGW_REDIS_STRING ? field->data : NULL;
}

/* ------------------------------------------------------------------ what it says against it */

/* Its first word; before version 7 it stands behind the script's name and line. */
static const char *says(const aigw_redis_reply_t *reply, const char *word)
{
    const char *found = strstr(reply->data, word);

    return found && (found == reply->data || found[-1] == '-' || found[-1] == ' ') ? found : NULL;
}

/* Not now, but perhaps soon. */
static int is_passing(const aigw_redis_reply_t *reply)
{
    static const char *const words[] = {"OOM ",         "MISCONF ",  "READONLY ",   "LOADING ", "MASTERDOWN ", "NOREPLICAS ",
                                        "CLUSTERDOWN ", "TRYAGAIN ", "UNKILLABLE ", "NOTBUSY ", "BUSY "};
    apr_size_t i;

    for (i = 0; i < sizeof words / sizeof *words && !says(reply, words[i]); i++) {
    }
    return i < sizeof words / sizeof *words;
}

/* Once for as long as it lasts. */
static void complain(aigw_store_redis_t *self, const char *why)
{
    if (!apr_atomic_xchg32(&self->complained, 1)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, self->server,
                     "AIGW0510: the store: Redis cannot be asked: %s: what needs it is refused until it can", why);
    }
}

/* Neither now nor soon: who runs it has to do something. */
static apr_status_t strange(aigw_store_redis_t *self, const char *why)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, self->server, "AIGW0517: the store: Redis does not do a step: %s", why);
    return APR_EGENERAL;
}

static apr_status_t refused(aigw_store_redis_t *self, const aigw_redis_reply_t *reply)
{
    const char *version = says(reply, "AIGWVERSION ");

    if (version) {
        if (!apr_atomic_xchg32(&self->newer, 1)) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, 0, self->server,
                         "AIGW0514: the store: what is in Redis was made by a newer mod_aigw (version %s, this one knows %d): install that "
                         "one; until then what needs the store is refused",
                         version + strlen("AIGWVERSION "), AIGW_STORE_REDIS_VERSION);
        }
        return APR_EAGAIN;
    }
    if (is_passing(reply)) {
        complain(self, reply->data);
        return APR_EAGAIN;
    }
    return strange(self, reply->data);
}

apr_status_t aigw_store_redis_odd(aigw_store_redis_t *self)
{
    return strange(self, "its answer is not of what was asked: has something else keys of these names?");
}

apr_status_t aigw_store_redis_too_large(aigw_store_redis_t *self, const char *what, apr_size_t bytes)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, self->server,
                 "AIGW0518: the store: a %s of %" APR_SIZE_T_FMT " bytes is too large for Redis: %d are the most", what, bytes,
                 AIGW_STORE_REDIS_VALUE);
    return APR_EGENERAL;
}

apr_status_t aigw_store_redis_ask(aigw_store_redis_t *self, aigw_redis_script_t *script, const aigw_store_redis_args_t *args,
                                  const aigw_redis_reply_t **reply)
{
    const char *const *words = (const char *const *)args->words->elts;
    const apr_status_t rv = aigw_redis_functions.eval(self->redis, args->p, script, 1, args->words->nelts, words, NULL, reply);

    if (rv != APR_SUCCESS) {
        complain(self, rv == APR_TIMEUP ? "no answer in time (AIGWStoreTimeout)" : "lines before this one say why");
        return rv == APR_TIMEUP || rv == APR_ECONNRESET ? APR_TIMEUP : APR_EAGAIN;
    }
    if ((*reply)->kind == AIGW_REDIS_ERROR) {
        return refused(self, *reply);
    }
    apr_atomic_set32(&self->complained, 0);
    apr_atomic_set32(&self->newer, 0);
    return (*reply)->kind == AIGW_REDIS_ARRAY || (*reply)->kind == AIGW_REDIS_INTEGER ? APR_SUCCESS : aigw_store_redis_odd(self);
}

/* ------------------------------------------------------------------ configuration, start */

static const char *check(apr_pool_t *p, const char *args)
{
    return *args ? "redis: where it is says AIGWRedis: write AIGWStore redis and, for example, AIGWRedis redis://127.0.0.1:6379" : NULL;
}

static apr_status_t check_config(server_rec *main_server, apr_pool_t *p, const char *args)
{
    if (aigw_redis_get()) {
        return APR_SUCCESS;
    }
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server,
                 "AIGW0511: AIGWStore redis: which one? Write AIGWRedis redis://HOST:6379 as well, or AIGWStore sqlite:/path/to/a/file");
    return APR_EGENERAL;
}

static aigw_store_t *open_store(apr_pool_t *p, const char *args, const aigw_store_options_t *options)
{
    apr_pool_t *own = aigw_own_pool(p);
    aigw_store_redis_t *self = own ? apr_pcalloc(own, sizeof *self) : NULL;

    /* in p: its cleanups close the connections, and by then the pools below it are gone */
    if (!self || !(self->redis = aigw_store_redis_client(p, options)) || !aigw_redis_apart_open(self->redis) ||
        pthread_mutex_init(&self->mutex, NULL) != 0) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, options->server,
                     "AIGW0519: no memory for the store in this child: it refuses what needs it");
        return NULL;
    }
    self->server = options->server;
    return (aigw_store_t *)self;
}

static apr_status_t ping(aigw_store_t *store)
{
    apr_int64_t states[5], callbacks;
    apr_pool_t *p;
    apr_status_t rv = apr_pool_create_unmanaged(&p);

    if (rv == APR_SUCCESS) {
        rv = aigw_store_redis_count(store, p, states, &callbacks);
        apr_pool_destroy(p);
    }
    return rv;
}

const aigw_store_vt aigw_store_redis = {.name = "redis",
                                        .check = check,
                                        .check_config = check_config,
                                        .prepare = aigw_store_redis_prepare,
                                        .open = open_store,
                                        .ping = ping,
                                        .task_create = aigw_store_redis_create,
                                        .task_get = aigw_store_redis_get,
                                        .task_look = aigw_store_redis_look,
                                        .task_list = aigw_store_redis_list,
                                        .task_cancel = aigw_store_redis_cancel,
                                        .task_claim = aigw_store_redis_claim,
                                        .task_beat = aigw_store_redis_beat,
                                        .task_end = aigw_store_redis_end,
                                        .task_sweep = aigw_store_redis_sweep,
                                        .callback_claim = aigw_store_redis_callback_claim,
                                        .callback_tried = aigw_store_redis_callback_tried,
                                        .count = aigw_store_redis_count};
