/* Where a Redis is: the addresses of a name, or the path of a socket. A name may have several (localhost: ::1 and 127.0.0.1); some are tried one after the other. */
#ifndef AIGW_CORE_REDIS_ADDRESS_H
#define AIGW_CORE_REDIS_ADDRESS_H

#include <sys/socket.h>

#define AIGW_REDIS_ADDRESSES 4

typedef struct aigw_redis_addresses_t {
    int count; /* 0: none was found */
    struct {
        struct sockaddr_storage sa;
        socklen_t len;
    } at[AIGW_REDIS_ADDRESSES];
} aigw_redis_addresses_t;

/* Of a path, or else of host and port. Asks the resolver, which may block for many seconds: never while a request waits. 1, or 0 and *addresses is as it was. Any thread. */
int aigw_redis_resolve(const char *path, const char *host, int port, aigw_redis_addresses_t *addresses);

#endif
