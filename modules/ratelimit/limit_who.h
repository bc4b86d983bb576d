/* Whom a limit counts. */
#ifndef AIGW_LIMIT_WHO_H
#define AIGW_LIMIT_WHO_H

#include "limit.h"

/* By whom the limits of this section count, by default or as said in it or around it. around: the merged section of the request's location. */
unsigned aigw_limit_by(const aigw_limit_section_t *section, const aigw_limit_section_t *around);

/* The name under which it counts, in p: "user:alice", "address:2001:db8::/64" and so on, several joined. */
const char *aigw_limit_who(const aigw_limit_t *limit, const aigw_limit_section_t *around, request_rec *r, const aigw_identity_t *identity,
                           apr_pool_t *p);

/* The network that an address stands for: itself, or of IPv6 the first 64 bits ("2001:db8:1:2::/64"); an IPv4 address in IPv6 is itself. In p. */
const char *aigw_limit_network(apr_pool_t *p, const apr_sockaddr_t *addr);

#endif
