/* Redis, for whoever keeps state on many machines: limits, revoked tokens, later tasks and rooms. One server, or whatever looks like one; connections are pooled in each child.
 *
 * Nothing here takes longer than the time-outs of AIGWRedisTimeout, and once a server was found bad (a circuit breaker, in each child) nothing at all: then APR_EAGAIN comes at once, and a
 * thread in the background sees now and then, as long as somebody asks, whether it is back.
 *
 * Got from aigw_core_t.redis(). Thread: any that may block for these times; never the reactor's.
 */
#ifndef AIGW_REDIS_H
#define AIGW_REDIS_H

#include <httpd.h>
#include <apr_pools.h>

typedef struct aigw_redis_t aigw_redis_t; /* what AIGWRedis says; constant once the configuration is read */

/* AIGWRedisFailure: what those who ask do where there is no answer. */
typedef enum {
    AIGW_REDIS_FAILURE_LOCAL, /* go on with what this machine knows (the default) */
    AIGW_REDIS_FAILURE_OPEN,  /* let it through */
    AIGW_REDIS_FAILURE_CLOSED /* refuse: 503 store_unavailable */
} aigw_redis_failure_e;

typedef enum { AIGW_REDIS_NIL, AIGW_REDIS_STRING, AIGW_REDIS_INTEGER, AIGW_REDIS_ARRAY, AIGW_REDIS_ERROR } aigw_redis_reply_e;

/* A reply, in the pool that was given. */
typedef struct aigw_redis_reply_t {
    aigw_redis_reply_e kind;
    apr_int64_t integer;                       /* INTEGER */
    const char *data;                          /* STRING and ERROR: bytes, with a NUL behind them; a status such as "OK" is a STRING */
    apr_size_t len;                            /* without the NUL */
    const struct aigw_redis_reply_t *elements; /* ARRAY: count of them */
    int count;
} aigw_redis_reply_t;

/* A script of Lua. Static and constant but for sha, which the first use in a process fills in (any thread). */
typedef struct aigw_redis_script_t {
    const char *name; /* for the log */
    const char *text;
    char sha[41];
    volatile apr_uint32_t ready; /* the core's */
} aigw_redis_script_t;

/* What a reply may have at most; one that has more is a broken connection. Bytes on the wire (the store of tasks allows itself more), elements of all its arrays, arrays within each other. */
#define AIGW_REDIS_REPLY_BYTES    (1024 * 1024)
#define AIGW_REDIS_REPLY_ELEMENTS 65536
#define AIGW_REDIS_REPLY_DEPTH    7

typedef struct aigw_redis_vt {
    /* One command. lens: NULL: all are strings. Returns
     *   APR_SUCCESS       there is a reply, which may be an ERROR (the caller's to log; what it has as an argument may be in it)
     *   APR_EAGAIN        not done, not even tried: the server is known to be away, or all connections were in use for the command time-out
     *   APR_ECONNREFUSED  not done: no connection, or it did not let us in
     *   APR_TIMEUP        no answer in time: it may have been done all the same, even later
     *   APR_ECONNRESET    the connection broke, or what came is no reply: it may have been done
     * Nothing that may have been done is tried again here. Where it failed a numbered line was logged, once for as long as it lasts. */
    apr_status_t (*command)(aigw_redis_t *redis, apr_pool_t *p, int argc, const char *const *argv, const apr_size_t *lens,
                            const aigw_redis_reply_t **reply);

    /* EVALSHA, and EVAL where the server does not know the script (yet, or any more). argv: nkeys keys, then the arguments. */
    apr_status_t (*eval)(aigw_redis_t *redis, apr_pool_t *p, aigw_redis_script_t *script, int nkeys, int argc, const char *const *argv,
                         const apr_size_t *lens, const aigw_redis_reply_t **reply);

    aigw_redis_failure_e (*failure)(const aigw_redis_t *redis); /* AIGWRedisFailure */
    const char *(*prefix)(
        const aigw_redis_t
            *redis); /* AIGWRedisPrefix, with a hash tag: "{aigw}:"; all keys begin with it, so that in a cluster they are on one node */
    int (*away)(const aigw_redis_t *redis); /* 1: the breaker is open just now: nothing would be tried. Never blocks */
} aigw_redis_vt;

#endif
