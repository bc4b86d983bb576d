/* Whom a limit counts. */
#ifndef AIGW_LIMIT_WHO_H
#define AIGW_LIMIT_WHO_H

#include "limit.h"

/* Who asks: a request, or a call with or without one. Lives as long as it is asked. */
typedef struct aigw_limit_asker_t {
    server_rec *server;
    request_rec *r;                /* NULL: nobody is connected; then a limit by header counts as if there were none */
    const aigw_request_t *context; /* whose identity and address count */
    const char *model;             /* of a call; NULL: not known yet */
} aigw_limit_asker_t;

/* By whom the limits of this section count, by default or as said in it or around it. around: the merged section of the request's location; NULL: of a tier. */
unsigned aigw_limit_by(const aigw_limit_section_t *section, const aigw_limit_section_t *around);

/* The name under which it counts, in p: "user:alice", "address:2001:db8::/64" and so on, several joined. */
const char *aigw_limit_who(const aigw_limit_t *limit, const aigw_limit_section_t *around, const aigw_limit_asker_t *asker, apr_pool_t *p);

/* The network that an address stands for: itself, or of IPv6 the first 64 bits ("2001:db8:1:2::/64"); an IPv4 address in IPv6 is itself. "?" where it is none. In p. */
const char *aigw_limit_network(apr_pool_t *p, const char *address);

#endif
