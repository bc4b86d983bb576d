/* rediss://: TLS 1.2 or newer on a connection to Redis, whose certificate is verified, and the name or address in it too. By hiredis_ssl; where configure found none, redis_no_tls.c
 * stands in, which never gets this far: the configuration is refused.
 *
 * Thread: any; an SSL is its connection's. None of these waits: the socket does not block.
 */
#ifndef AIGW_CORE_REDIS_TLS_H
#define AIGW_CORE_REDIS_TLS_H

#include "redis_connection.h"
#include "redis_reply.h"

int aigw_redis_tls_is_built(void);

/* check_config, as the user that httpd is started by, who may be the only one who can read the key: redis->tls, for as long as pconf. NULL, or what is wrong. */
const char *aigw_redis_tls_make(aigw_redis_t *redis, apr_pool_t *pconf);

/* Begins the handshake. The SSL is freed with context. NULL: *fault says why. */
struct ssl_st *aigw_redis_tls_begin(const aigw_redis_t *redis, redisContext *context, aigw_redis_fault_t *fault);

/* … and goes on with it. 0: it is done; POLLIN, POLLOUT: when there is this; -1: *fault says why. */
int aigw_redis_tls_go_on(struct ssl_st *ssl, aigw_redis_fault_t *fault);

/* What to poll() for after hiredis could not go on: mostly these events of POLLIN and POLLOUT. 0: for nothing, there is something to read in memory. */
short aigw_redis_tls_events(const struct ssl_st *ssl, short events);

/* As aigw_redis_is_quiet(). What TLS itself sends unasked (the tickets of TLS 1.3) is read, and does not count. */
int aigw_redis_tls_is_quiet(struct ssl_st *ssl);

/* A thread has one queue of errors for all that use OpenSSL in it: before a call, what others left there must go, or it is taken for an error of this one. */
void aigw_redis_tls_forget_errors(void);

/* What OpenSSL has against the last call, and forgets it; NULL: nothing, then it is in errno. */
const char *aigw_redis_tls_reason(void);

#endif
