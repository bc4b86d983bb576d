/* Network addresses: which of them a server may be sent to by somebody from outside, without reaching what only the server can reach (server-side request forgery); and who a client is that has no name.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_ADDRESS_H
#define AIGW_ADDRESS_H

#include <apr_network_io.h>
#include <apr_tables.h>

#include <sys/socket.h>

typedef enum {
    AIGW_ADDRESS_PUBLIC,  /* everybody's */
    AIGW_ADDRESS_PRIVATE, /* of this machine or of its networks: loopback, RFC 1918, carrier-grade NAT, unique-local */
    AIGW_ADDRESS_CLOSED /* nothing that anybody should be sent to: link-local and metadata services of clouds, multicast, reserved ones, and all that is not an address of IPv4 or IPv6 */
} aigw_address_e;

/* An IPv6 address that leads to an IPv4 address (mapped, NAT64, 6to4) is of that one's kind. *name, if not NULL: what it is, in a word or two ("loopback"), a constant. */
aigw_address_e aigw_address_kind(const struct sockaddr *address, const char **name);

/* A network, "10.0.0.0/8" or "fd00::/8" or one address, to be put in such a list (apr_ipsubnet_t *). NULL, or what is wrong with it. In p. */
const char *aigw_address_network(apr_pool_t *p, const char *written, apr_array_header_t *networks);

/* 1 if one of these networks has it. An address that leads to an IPv4 address is in that one's networks. */
int aigw_address_in(const apr_array_header_t *networks, const struct sockaddr *address);

/* The network that a client's address stands for: itself, or of IPv6 the first 64 bits ("2001:db8:1:2::/64"), all of which are his; an IPv4 address in IPv6 is itself. "?" where it is none (NULL). In p. */
const char *aigw_address_client(apr_pool_t *p, const char *written);

#endif
