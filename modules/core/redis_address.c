#include "redis_address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void add(aigw_redis_addresses_t *to, const void *sa, socklen_t len)
{
    memcpy(&to->at[to->count].sa, sa, len);
    to->at[to->count].len = len;
    to->count++;
}

int aigw_redis_resolve(const char *path, const char *host, int port, aigw_redis_addresses_t *addresses)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    aigw_redis_addresses_t found = {0};
    struct addrinfo *all, *ai;
    char service[8];

    if (path) {
        snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
        add(&found, &sun, sizeof sun);
    }
    else {
        snprintf(service, sizeof service, "%d", port);
        if (getaddrinfo(host, service, &hints, &all) != 0) {
            return 0;
        }
        for (ai = all; ai && found.count < AIGW_REDIS_ADDRESSES; ai = ai->ai_next) {
            add(&found, ai->ai_addr, ai->ai_addrlen);
        }
        freeaddrinfo(all);
    }
    if (found.count) {
        *addresses = found;
    }
    return found.count > 0;
}
