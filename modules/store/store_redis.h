/* What the files of the Redis store share: a script is asked, and what it answers is read. What is in Redis says redis_common.lua.
 *
 * Thread: any that may block.
 */
#ifndef AIGW_STORE_REDIS_H
#define AIGW_STORE_REDIS_H

#include "aigw_store.h"
#include "redis.h"
#include "store_lua.h" /* made of redis_*.lua */

#include <pthread.h>

#define AIGW_STORE_REDIS_VERSION 1                  /* of what is in Redis: VERSION in redis_common.lua */
#define AIGW_STORE_REDIS_VALUE   (64 * 1024 * 1024) /* bytes that a request or a result has at most */
#define AIGW_STORE_REDIS_REPLY   (3 * AIGW_STORE_REDIS_VALUE)
#define AIGW_STORE_REDIS_LOST    4 /* claims without an answer that are remembered */

/* A claim that may have been done. */
typedef struct aigw_store_redis_lost_t {
    char name[80];    /* HOLDER:NUMBER */
    apr_time_t until; /* of aigw_clock_now(): then its leases are over anyhow */
} aigw_store_redis_lost_t;

typedef struct aigw_store_redis_t {
    server_rec *server;
    aigw_redis_t *redis;
    volatile apr_uint32_t complained; /* 1: that it cannot be asked */
    volatile apr_uint32_t newer;      /* 1: that what is there is a newer version's */
    volatile apr_uint32_t idle;       /* milliseconds: the shortest lease that was asked for here; 0: none yet */
    volatile apr_uint32_t claims;     /* so far */
    pthread_mutex_t mutex;            /* of lost; signals are held with it */
    aigw_store_redis_lost_t lost[AIGW_STORE_REDIS_LOST];
    int next_lost;
} aigw_store_redis_t;

/* The words for a script. */
typedef struct aigw_store_redis_args_t {
    apr_pool_t *p;
    apr_array_header_t *words; /* const char * */
} aigw_store_redis_args_t;

#define AIGW_STORE_REDIS_SCRIPT(variable, TEXT) static aigw_redis_script_t variable = {.name = "store", .text = AIGW_REDIS_COMMON_LUA TEXT}

/* The first of them is the script's key. n: how many more there will be, about. */
aigw_store_redis_args_t aigw_store_redis_args(const aigw_store_redis_t *self, apr_pool_t *p, int n);
void aigw_store_redis_add(aigw_store_redis_args_t *args, const char *word); /* NULL: an empty one */
void aigw_store_redis_add_int(aigw_store_redis_args_t *args, apr_int64_t n);

/* Asks; the answer is an array, or an integer. APR_EAGAIN: no answer, or that it cannot be done now; APR_TIMEUP: the same, but it may have been done (the caller says APR_EAGAIN). APR_EGENERAL: it does not
 * understand us. All are logged. */
apr_status_t aigw_store_redis_ask(aigw_store_redis_t *self, aigw_redis_script_t *script, const aigw_store_redis_args_t *args,
                                  const aigw_redis_reply_t **reply);

/* An answer that is not what was asked for: logged. APR_EGENERAL */
apr_status_t aigw_store_redis_odd(aigw_store_redis_t *self);

/* What ("request") has so many bytes: logged. APR_EGENERAL */
apr_status_t aigw_store_redis_too_large(aigw_store_redis_t *self, const char *what, apr_size_t bytes);

/* A field of a reply. */
apr_int64_t aigw_store_redis_int(const aigw_redis_reply_t *field);  /* nil: 0 */
const char *aigw_store_redis_text(const aigw_redis_reply_t *field); /* nil: NULL */

/* store_redis_task.c: a task as scripts give it, FEW or MANY. NULL: it is none. */
const aigw_task_t *aigw_store_redis_task(const aigw_redis_reply_t *reply, apr_pool_t *p);

#define AIGW_STORE_REDIS_FIELDS 23 /* of a task with request and result */

apr_status_t aigw_store_redis_create(aigw_store_t *store, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                     const aigw_task_t **task);
apr_status_t aigw_store_redis_get(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, int with,
                                  const aigw_task_t **task);
apr_status_t aigw_store_redis_look(aigw_store_t *store, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks);
apr_status_t aigw_store_redis_list(aigw_store_t *store, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                                   aigw_task_page_t *page);
apr_status_t aigw_store_redis_cancel(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task);
apr_status_t aigw_store_redis_count(aigw_store_t *store, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks);

/* store_redis_queue.c */
apr_status_t aigw_store_redis_claim(aigw_store_t *store, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                                    const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n);
apr_status_t aigw_store_redis_beat(aigw_store_t *store, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease);
apr_status_t aigw_store_redis_end(aigw_store_t *store, apr_pool_t *p, aigw_task_end_t *ends, int n);
apr_status_t aigw_store_redis_sweep(aigw_store_t *store, apr_pool_t *p, int attempts, const char *error, int *more);
apr_status_t aigw_store_redis_callback_claim(aigw_store_t *store, apr_pool_t *p, int max, apr_interval_time_t lease,
                                             aigw_callback_t *callbacks, int *n);
apr_status_t aigw_store_redis_callback_tried(aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next);

/* store_redis_start.c */
apr_status_t aigw_store_redis_prepare(apr_pool_t *p, const char *args, const aigw_store_options_t *options);
aigw_redis_t *aigw_store_redis_client(apr_pool_t *p, const aigw_store_options_t *options); /* ours of it, in p */

#endif
