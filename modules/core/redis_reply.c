#include "redis_reply.h"

#include <apr_strings.h>

#if HIREDIS_MAJOR >= 1
typedef size_t count_t;
#else
typedef int count_t;
#endif

/* Where a piece belongs: into its array, or it is the whole reply. NULL: too much. */
static aigw_redis_reply_t *place(const redisReadTask *task, aigw_redis_reply_e kind)
{
    aigw_redis_box_t *box = task->privdata;
    aigw_redis_reply_t *reply;

    if (task->parent) {
        const aigw_redis_reply_t *array = task->parent->obj;

        reply = (aigw_redis_reply_t *)&array->elements[task->idx];
    }
    else {
        reply = apr_pcalloc(box->p, sizeof *reply);
    }
    reply->kind = kind;
    return reply;
}

static void *make_text(const redisReadTask *task, char *text, size_t len)
{
    aigw_redis_box_t *box = task->privdata;
    aigw_redis_reply_t *reply = place(task, task->type == REDIS_REPLY_ERROR ? AIGW_REDIS_ERROR : AIGW_REDIS_STRING);

    reply->data = apr_pstrmemdup(box->p, text, len);
    reply->len = len;
    return reply;
}

static void *make_array(const redisReadTask *task, count_t count)
{
    aigw_redis_box_t *box = task->privdata;
    const redisReadTask *up;
    aigw_redis_reply_t *reply;
    int depth = 1;

    for (up = task->parent; up; up = up->parent) {
        depth++;
    }
    if ((apr_size_t)count > box->budget || depth > AIGW_REDIS_REPLY_DEPTH) {
        box->too_large = 1;
        return NULL; /* which hiredis takes for out of memory: the connection is over */
    }
    box->budget -= (apr_size_t)count;
    reply = place(task, AIGW_REDIS_ARRAY);
    reply->count = (int)count;
    reply->elements = apr_pcalloc(box->p, ((apr_size_t)count + 1) * sizeof *reply); /* all zero: nil */
    return reply;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    aigw_redis_reply_t *reply = place(task, AIGW_REDIS_INTEGER);

    reply->integer = value;
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    return place(task, AIGW_REDIS_NIL);
}

#if HIREDIS_MAJOR >= 1
/* Of RESP3, which we do not ask for: a server that sends it all the same is not to crash us. */
static void *make_double(const redisReadTask *task, double value, char *text, size_t len)
{
    return make_text(task, text, len);
}

static void *make_bool(const redisReadTask *task, int value)
{
    return make_integer(task, value);
}
#endif

/* The pool's. */
static void free_nothing(void *reply)
{
}

static redisReplyObjectFunctions functions = {
    .createString = make_text,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = make_double,
    .createBool = make_bool,
#endif
    .freeObject = free_nothing,
};

void aigw_redis_reply_use(redisReader *reader, aigw_redis_box_t *box)
{
    reader->fn = &functions;
    reader->privdata = box;
}

void aigw_redis_box_empty(aigw_redis_box_t *box, apr_pool_t *p)
{
    box->p = p;
    box->budget = AIGW_REDIS_REPLY_ELEMENTS;
    box->too_large = 0;
}
