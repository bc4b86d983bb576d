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

/* By whom it counts: as said, or by default. */
unsigned aigw_limit_by(const aigw_limit_said_t *said);

/* The name under which it counts, in p: "10:user:alice", "24:address:2001:db8:1:2::/64" and so on, one behind the other. */
const char *aigw_limit_who(const aigw_limit_said_t *said, const aigw_limit_asker_t *asker, apr_pool_t *p);

#endif
