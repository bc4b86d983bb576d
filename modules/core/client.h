/* Writing to the client of a parked connection without blocking: a network-level filter below mod_ssl takes FLUSH buckets out and asks httpd's core output
 * filter for its nonblocking write instead, so every filter above still flushes (chunking, TLS records, deflate). See docs/architecture.md, "Parking".
 *
 * Thread: the one that owns the connection at that time, the reactor included.
 */
#ifndef AIGW_CLIENT_H
#define AIGW_CLIENT_H

#include <httpd.h>
#include <util_filter.h>

/* The last output filter of a connection, httpd's core. */
ap_filter_t *aigw_client_core_filter(conn_rec *c);

/* 1 while the connection holds output that the client has not taken. */
int aigw_client_pending(request_rec *r);

/* Writes what the client takes now. An error: the client is gone. */
apr_status_t aigw_client_write_pending(request_rec *r);

/* Gives the client up: nothing more is written to it. */
void aigw_client_abort(request_rec *r);

/* Adds the filter to a new connection; *nonblocking switches it and belongs to the connection's park. */
void aigw_client_add_filter(conn_rec *c, const int *nonblocking);

void aigw_client_register(apr_pool_t *p);

#endif
