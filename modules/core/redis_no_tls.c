#include "redis_tls.h"

int aigw_redis_tls_is_built(void)
{
    return 0;
}

const char *aigw_redis_tls_make(aigw_redis_t *redis, apr_pool_t *pconf)
{
    return "it is not in this build";
}

struct ssl_st *aigw_redis_tls_begin(const aigw_redis_t *redis, redisContext *context, aigw_redis_fault_t *fault)
{
    return NULL;
}

int aigw_redis_tls_go_on(struct ssl_st *ssl, aigw_redis_fault_t *fault)
{
    return -1;
}

short aigw_redis_tls_events(const struct ssl_st *ssl, short events)
{
    return events;
}

int aigw_redis_tls_is_quiet(struct ssl_st *ssl)
{
    return 0;
}

void aigw_redis_tls_forget_errors(void)
{
}

const char *aigw_redis_tls_reason(void)
{
    return NULL;
}
