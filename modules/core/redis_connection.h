/* One connection to Redis, logged in. It is never used again after anything went wrong on it: a late answer must not be taken for that of the next command. */
#ifndef AIGW_CORE_REDIS_CONNECTION_H
#define AIGW_CORE_REDIS_CONNECTION_H

#include "redis_conf.h"

typedef struct aigw_redis_connection_t aigw_redis_connection_t; /* one thread at a time */

typedef struct aigw_redis_fault_t {
    apr_status_t rv; /* as aigw_redis_vt says it */
    int refused;     /* it does not let us in: a matter of the configuration */
    int undone;      /* it has not got the whole command, so that it cannot have done it */
    char text[256];  /* for the log; no secret */
} aigw_redis_fault_t;

/* Connects within the connect time-out to one of these addresses, TLS and all, then AUTH and SELECT within the command time-out. p is for their replies. NULL and *fault. */
aigw_redis_connection_t *aigw_redis_connect(const aigw_redis_t *redis, const aigw_redis_addresses_t *addresses, apr_pool_t *p,
                                            aigw_redis_fault_t *fault);

/* One command and its reply, until this time of aigw_clock_now(). argc, argv, lens and reply as in aigw_redis_vt. If it fails, *fault says why and the connection is to be closed. */
apr_status_t aigw_redis_ask(aigw_redis_connection_t *connection, apr_pool_t *p, int argc, const char *const *argv, const apr_size_t *lens,
                            apr_time_t until, const aigw_redis_reply_t **reply, aigw_redis_fault_t *fault);

/* 1: nothing came on it since the last reply, neither its end nor what nobody has asked for. */
int aigw_redis_is_quiet(const aigw_redis_connection_t *connection);

void aigw_redis_close(aigw_redis_connection_t *connection);

/* Those that wait in a pool are a list. */
aigw_redis_connection_t **aigw_redis_next(aigw_redis_connection_t *connection);

/* 1: this reply is an error that begins with this word. */
int aigw_redis_is_error(const aigw_redis_reply_t *reply, const char *word);

#endif
