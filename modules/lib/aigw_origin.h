/* Web origins: scheme, host and port of the page that a script runs in, as browsers write them into the header field Origin.
 *
 * What an administrator writes is brought into the form that browsers send (URL standard: lower case, no default port, IPv6 compressed). An Origin field is then
 * compared byte for byte, for browsers send no other form: what differs from it comes from something else, which needs no CORS. For CORS and for WebSocket alike.
 *
 * Thread: any; no state. A list is constant once it is made.
 */
#ifndef AIGW_ORIGIN_H
#define AIGW_ORIGIN_H

#include <apr_pools.h>
#include <apr_tables.h>

typedef enum {
    AIGW_ORIGIN_EXACT,      /* this one, or "null" */
    AIGW_ORIGIN_SUBDOMAINS, /* of a domain, at any depth, and never the domain itself */
    AIGW_ORIGIN_ANY         /* every one */
} aigw_origin_e;

typedef struct aigw_origin_t {
    aigw_origin_e kind;
    const char *text; /* "https://app.example.com:8443"; of SUBDOMAINS without the star: "https://.example.com" */
    apr_size_t len;
    apr_size_t scheme; /* bytes of "https://" */
} aigw_origin_t;

/* Reads what is written in a configuration: an origin, one with "*." before its host, "*" or "null". NULL, or what is wrong and would be right, in p. */
const char *aigw_origin_read(aigw_origin_t *origin, const char *written, apr_pool_t *p);

/* 1 if any website can make its pages send it: "*", and "null", which is the origin of a sandboxed frame. */
int aigw_origin_is_open(const aigw_origin_t *origin);

/* 1 if the field, as a client sent it, is one of these origins. Of SUBDOMAINS it is then letters, digits, "-", "_" and dots behind the scheme: it may be sent back.
 * origins: aigw_origin_t. sent may be NULL: 0. */
int aigw_origins_have(const apr_array_header_t *origins, const char *sent);

#endif
