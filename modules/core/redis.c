#include "redis.h"
#include "child.h"
#include "conf.h"
#include "redis_pool.h"
#include "redis_watch.h"
#include "aigw_clock.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_log.h>
#include <apr_atomic.h>
#include <apr_escape.h>
#include <apr_sha1.h>
#include <apr_strings.h>
#include <pthread.h>

APLOG_USE_MODULE(aigw);

static aigw_redis_t *configured; /* of the configuration that is in force; NULL: no AIGWRedis */

#define CLIENTS 2 /* everybody's, and the store's */

static struct {
    server_rec *server;
    aigw_redis_t *clients[CLIENTS]; /* with a pool each. More than nclients of them are not looked at */
    volatile apr_uint32_t nclients;
    volatile apr_uint32_t ending; /* the child's helper threads are gone, or going */
} child;

/* Who is to see whether it is back. */
typedef struct probe_t {
    const aigw_redis_t *redis;
    aigw_redis_lease_t lease;
} probe_t;

/* What is asked: the words, and for a script its text, for a server that does not know it. */
typedef struct question_t {
    int argc;
    const char **argv;
    apr_size_t *lens; /* or NULL */
    const aigw_redis_script_t *script;
} question_t;

aigw_redis_t *aigw_redis_get(void)
{
    return configured;
}

/* ------------------------------------------------------------------ the log */

static void tell(const aigw_redis_t *redis, const aigw_redis_news_t *news, const aigw_redis_fault_t *fault)
{
    if (news->first && fault->refused) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, child.server, "AIGW0198: Redis %s: %s", redis->url, fault->text);
    }
    else if (news->first) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, child.server, "AIGW0195: Redis %s: %s", redis->url, fault->text);
    }
    if (news->event == AIGW_BREAKER_OPENED) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, child.server,
                     "AIGW0196: Redis %s is away, %s: nobody waits for it until it answers again, it is tried in the background; meanwhile "
                     "%s",
                     redis->url, fault->text, aigw_redis_meanwhile(redis));
        aigw_redis_watch();
    }
    else if (news->event == AIGW_BREAKER_RECOVERED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, child.server, "AIGW0197: Redis %s is back after %.1f s", redis->url,
                     (double)news->time / APR_USEC_PER_SEC);
    }
}

static void tell_busy(const aigw_redis_t *redis)
{
    static volatile apr_uint32_t told; /* seconds of aigw_clock_now() */
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(aigw_clock_now()), last = apr_atomic_read32(&told);

    if ((!last || now - last > 10) && apr_atomic_cas32(&told, now, last) == last) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, child.server,
                     "AIGW0199: Redis %s: all %d connections of this child were in use for as long as a command may take: raise %s",
                     redis->url, redis->connections, redis->connections_directive);
    }
}

/* ------------------------------------------------------------------ is it back? */

static void give(const aigw_redis_t *redis, const aigw_redis_lease_t *lease, aigw_breaker_result_e result, const aigw_redis_fault_t *fault)
{
    aigw_redis_news_t news = aigw_redis_pool_give(redis->pool, lease, result);

    tell(redis, &news, fault);
}

/* A new connection that answers: what it answers does not matter, PING need not be allowed to this user. It may have got another address meanwhile. */
static void probe(const aigw_redis_t *redis, aigw_redis_lease_t *lease)
{
    static const char *const ping[] = {"PING"};
    apr_pool_t *p = aigw_own_pool(NULL);
    aigw_redis_addresses_t addresses;
    aigw_redis_fault_t fault = {0};
    const aigw_redis_reply_t *reply;

    if (!p) {
        give(redis, lease, AIGW_BREAKER_UNTRIED, &fault);
        return;
    }
    if (aigw_redis_resolve(redis->path, redis->host, redis->port, &addresses)) {
        aigw_redis_pool_set_addresses(redis->pool, &addresses);
    }
    aigw_redis_pool_addresses(redis->pool, &addresses);
    lease->connection = aigw_redis_connect(redis, &addresses, p, &fault);
    if (lease->connection &&
        (aigw_redis_ask(lease->connection, p, 1, ping, NULL, aigw_clock_now() + redis->command_timeout, &reply, &fault) != APR_SUCCESS ||
         aigw_redis_is_error(reply, "NOAUTH") || aigw_redis_is_error(reply, "LOADING"))) {
        aigw_redis_close(lease->connection);
        lease->connection = NULL;
    }
    give(redis, lease, lease->connection ? AIGW_BREAKER_WELL : AIGW_BREAKER_FAILED, &fault);
    apr_pool_destroy(p);
}

static void *APR_THREAD_FUNC probe_job(apr_thread_t *thread, void *baton)
{
    probe_t *at = baton;

    probe(at->redis, &at->lease);
    free(at);
    return NULL;
}

/* Nobody waits for it: it is done by a helper thread, if there can be one. */
static void probe_later(const aigw_redis_t *redis, const aigw_redis_lease_t *lease)
{
    aigw_redis_lease_t now = *lease;
    probe_t *at = malloc(sizeof *at);

    if (at) {
        at->redis = redis;
        at->lease = *lease;
        if (!apr_atomic_read32(&child.ending) && aigw_child_help(probe_job, at) == APR_SUCCESS) {
            return;
        }
        free(at);
    }
    probe(redis, &now);
}

/* ------------------------------------------------------------------ a command */

static apr_status_t connect_lease(const aigw_redis_t *redis, apr_pool_t *p, aigw_redis_lease_t *lease, aigw_redis_fault_t *fault)
{
    aigw_redis_addresses_t addresses;

    aigw_redis_pool_addresses(redis->pool, &addresses);
    lease->connection = aigw_redis_connect(redis, &addresses, p, fault);
    return lease->connection ? APR_SUCCESS : fault->rv;
}

static apr_status_t ask(const aigw_redis_t *redis, apr_pool_t *p, aigw_redis_lease_t *lease, question_t *q,
                        const aigw_redis_reply_t **reply, aigw_redis_fault_t *fault)
{
    apr_time_t until = aigw_clock_now() + redis->command_timeout;
    apr_status_t rv = aigw_redis_ask(lease->connection, p, q->argc, q->argv, q->lens, until, reply, fault);

    if (rv == APR_SUCCESS && q->script && aigw_redis_is_error(*reply, "NOSCRIPT")) { /* it has not run it */
        q->argv[0] = "EVAL";
        q->argv[1] = q->script->text;
        if (q->lens) {
            q->lens[0] = strlen(q->argv[0]);
            q->lens[1] = strlen(q->argv[1]);
        }
        rv = aigw_redis_ask(lease->connection, p, q->argc, q->argv, q->lens, until, reply, fault);
    }
    if (rv == APR_SUCCESS && aigw_redis_is_error(*reply, "NOAUTH")) {
        fault->refused = 1;
        apr_cpystrn(fault->text, "it wants a password: add password=env:NAME, file:/path or exec:/path/to/command to AIGWRedis",
                    sizeof fault->text);
        rv = APR_ECONNREFUSED;
    }
    if (rv != APR_SUCCESS) {
        aigw_redis_close(lease->connection);
        lease->connection = NULL;
    }
    return rv;
}

/* These are of a server that is not the right one (any more): the next question goes over a new connection. */
static int tells_to_go_elsewhere(const aigw_redis_reply_t *reply)
{
    return aigw_redis_is_error(reply, "READONLY") || aigw_redis_is_error(reply, "LOADING") || aigw_redis_is_error(reply, "MASTERDOWN");
}

/* On the connection that waited, if it is as it was left, else on a new one. What was sent in whole is never sent again: it may have been done, and a limit would be charged twice.
 * What was not sent in whole cannot have been done, and is tried once more; that is how a restarted Redis is noticed, if not before. */
static apr_status_t go_on(const aigw_redis_t *redis, apr_pool_t *p, aigw_redis_lease_t *lease, question_t *q,
                          const aigw_redis_reply_t **reply, aigw_redis_fault_t *fault)
{
    apr_status_t rv;
    int waited;

    if (lease->connection && !aigw_redis_is_quiet(lease->connection)) {
        aigw_redis_close(lease->connection);
        lease->connection = NULL;
        aigw_redis_pool_drop(redis->pool, 0); /* those that wait are older */
    }
    waited = lease->connection != NULL;
    rv = waited ? APR_SUCCESS : connect_lease(redis, p, lease, fault);
    if (rv == APR_SUCCESS) {
        rv = ask(redis, p, lease, q, reply, fault);
        if (rv == APR_ECONNRESET && waited && fault->undone && (rv = connect_lease(redis, p, lease, fault)) == APR_SUCCESS) {
            rv = ask(redis, p, lease, q, reply, fault);
        }
    }
    if (rv == APR_SUCCESS && tells_to_go_elsewhere(*reply)) {
        aigw_redis_close(lease->connection);
        lease->connection = NULL;
    }
    return rv;
}

static apr_status_t answer(const aigw_redis_t *redis, apr_pool_t *p, question_t *q, const aigw_redis_reply_t **reply)
{
    aigw_redis_lease_t lease;
    aigw_redis_fault_t fault = {0};
    apr_status_t rv;

    switch (aigw_redis_pool_take(redis->pool, &lease)) {
    case AIGW_REDIS_LEASED:
        break;
    case AIGW_REDIS_PROBE:
        probe_later(redis, &lease);
        return APR_EAGAIN;
    case AIGW_REDIS_BUSY:
        tell_busy(redis);
        return APR_EAGAIN;
    default:
        return APR_EAGAIN;
    }
    rv = go_on(redis, p, &lease, q, reply, &fault);
    give(redis, &lease, rv == APR_SUCCESS ? AIGW_BREAKER_WELL : AIGW_BREAKER_FAILED, &fault);
    return rv;
}

/* prefork: a signal that ends the child waits until this is over, which is soon. */
static apr_status_t answer_held(const aigw_redis_t *redis, apr_pool_t *p, question_t *q, const aigw_redis_reply_t **reply)
{
    sigset_t before;
    apr_status_t rv;

    *reply = NULL;
    if (!redis->pool) {
        return APR_EAGAIN;
    }
    aigw_signals_hold(&before);
    rv = answer(redis, p, q, reply);
    aigw_signals_release(&before);
    return rv;
}

static apr_status_t command(aigw_redis_t *redis, apr_pool_t *p, int argc, const char *const *argv, const apr_size_t *lens,
                            const aigw_redis_reply_t **reply)
{
    question_t q = {argc, (const char **)argv, (apr_size_t *)lens, NULL};

    return answer_held(redis, p, &q, reply);
}

/* ------------------------------------------------------------------ scripts */

/* Its name among the scripts that a server knows. */
static void name_script(aigw_redis_script_t *script, char sha[41])
{
    static pthread_mutex_t naming = PTHREAD_MUTEX_INITIALIZER;
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t context;
    sigset_t before;

    aigw_signals_hold(&before);
    pthread_mutex_lock(&naming);
    if (!script->ready) {
        apr_sha1_init(&context);
        apr_sha1_update(&context, script->text, (unsigned)strlen(script->text));
        apr_sha1_final(digest, &context);
        apr_escape_hex(script->sha, digest, sizeof digest, 0, NULL);
        script->ready = 1;
    }
    memcpy(sha, script->sha, 41);
    pthread_mutex_unlock(&naming);
    aigw_signals_release(&before);
}

static apr_status_t eval(aigw_redis_t *redis, apr_pool_t *p, aigw_redis_script_t *script, int nkeys, int argc, const char *const *argv,
                         const apr_size_t *lens, const aigw_redis_reply_t **reply)
{
    const char **words = apr_palloc(p, sizeof *words * ((apr_size_t)argc + 3));
    apr_size_t *sizes = lens ? apr_palloc(p, sizeof *sizes * ((apr_size_t)argc + 3)) : NULL;
    question_t q = {argc + 3, words, sizes, script};
    char sha[41];
    int i;

    name_script(script, sha);
    words[0] = "EVALSHA";
    words[1] = sha;
    words[2] = apr_itoa(p, nkeys);
    for (i = 0; i < 3 && sizes; i++) {
        sizes[i] = strlen(words[i]);
    }
    for (i = 0; i < argc; i++) {
        words[3 + i] = argv[i];
        if (sizes) {
            sizes[3 + i] = lens[i];
        }
    }
    return answer_held(redis, p, &q, reply);
}

static aigw_redis_failure_e failure(const aigw_redis_t *redis)
{
    return redis->failure;
}

static const char *prefix(const aigw_redis_t *redis)
{
    return redis->prefix;
}

/* Who only asks this, and never a question, must still find out that it is back. */
static int away(const aigw_redis_t *redis)
{
    aigw_redis_lease_t lease;
    aigw_redis_lease_e state;
    sigset_t before;

    if (!redis->pool) {
        return 1;
    }
    aigw_signals_hold(&before);
    state = aigw_redis_pool_look(redis->pool, &lease);
    if (state == AIGW_REDIS_PROBE) {
        probe_later(redis, &lease);
    }
    aigw_signals_release(&before);
    return state != AIGW_REDIS_LEASED;
}

/* In the watching thread, which may take its time. */
static int look(void)
{
    apr_uint32_t i, clients = apr_atomic_read32(&child.nclients);
    int all_well = 1;

    for (i = 0; i < clients; i++) {
        aigw_redis_t *redis = child.clients[i];
        aigw_redis_lease_t lease;
        aigw_redis_lease_e state = aigw_redis_pool_look(redis->pool, &lease);

        if (state == AIGW_REDIS_PROBE) {
            probe(redis, &lease);
            state = aigw_redis_pool_look(redis->pool, &lease);
        }
        all_well &= state == AIGW_REDIS_LEASED;
    }
    return !all_well;
}

const aigw_redis_vt aigw_redis_functions = {command, eval, failure, prefix, away};

/* ------------------------------------------------------------------ start and end */

static apr_status_t forget(void *data)
{
    configured = NULL;
    return APR_SUCCESS;
}

apr_status_t aigw_redis_check(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server)
{
    aigw_redis_t *redis = aigw_conf_server(main_server)->redis;
    apr_status_t rv = aigw_redis_conf_check(pconf, ptemp, main_server);

    if (rv == APR_SUCCESS && redis && redis->url) {
        configured = redis;
        apr_pool_cleanup_register(pconf, NULL, forget, apr_pool_cleanup_null);
    }
    return rv;
}

void aigw_redis_post_config(server_rec *main_server)
{
    if (configured) { /* not found: the children say so, and try again */
        aigw_redis_resolve(configured->path, configured->host, configured->port, &configured->addresses);
    }
}

static apr_status_t child_ends(void *data)
{
    apr_atomic_set32(&child.ending, 1);
    return APR_SUCCESS;
}

static apr_status_t child_ended(void *data)
{
    apr_uint32_t i;

    for (i = 0; i < apr_atomic_read32(&child.nclients); i++) {
        aigw_redis_pool_drop(child.clients[i]->pool, 1);
    }
    return APR_SUCCESS;
}

/* Its connections. They live as long as the process; the structure, in the configuration's pool or pchild, does not: a process that ends asks nothing any more. 0: no memory. */
static int make_pool(aigw_redis_t *redis)
{
    redis->pool = aigw_redis_pool_make(redis);
    if (!redis->pool) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, APR_ENOMEM, child.server,
                     "AIGW0106: no memory for connections to Redis: this child goes without it");
        return 0;
    }
    child.clients[child.nclients] = redis;
    apr_atomic_inc32(&child.nclients);
    return 1;
}

aigw_redis_t *aigw_redis_apart(apr_pool_t *p, const aigw_redis_apart_t *options)
{
    aigw_redis_t *apart = configured ? apr_pmemdup(p, configured, sizeof *apart) : NULL;

    if (apart) {
        apart->command_timeout = options->command_timeout;
        apart->connections = options->connections;
        apart->connections_directive = options->connections_directive;
        apart->reply_bytes = options->reply_bytes;
        apart->meanwhile = options->meanwhile;
        apart->pool = NULL;
    }
    return apart;
}

int aigw_redis_apart_open(aigw_redis_t *apart)
{
    return child.nclients < CLIENTS && make_pool(apart);
}

void aigw_redis_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    aigw_redis_t *redis = configured;
    aigw_redis_lease_t lease;
    aigw_redis_fault_t fault = {0};
    aigw_redis_news_t news;

    if (!redis) {
        return;
    }
    child.server = main_server;
    if (!make_pool(redis)) {
        return;
    }
    /* before the helper threads end; and when what was queued for after the response, which may need Redis, has run */
    apr_pool_pre_cleanup_register(pchild, NULL, child_ends);
    aigw_redis_watch_init(pchild, main_server, look);
    apr_pool_cleanup_register(pchild, NULL, child_ended, apr_pool_cleanup_null);
    if (aigw_redis_pool_take(redis->pool, &lease) != AIGW_REDIS_LEASED) {
        return;
    }
    if (connect_lease(redis, pchild, &lease, &fault) == APR_SUCCESS) {
        aigw_redis_pool_give(redis->pool, &lease, AIGW_BREAKER_WELL);
        return;
    }
    news = aigw_redis_pool_give(redis->pool, &lease, AIGW_BREAKER_FAILED);
    if (fault.refused) {
        tell(redis, &news, &fault);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     "AIGW0194: Redis %s: %s: this child starts without it, %s until it is there", redis->url, fault.text,
                     aigw_redis_meanwhile(redis));
    }
}
