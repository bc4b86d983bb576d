/* Has a TLS connection to an upstream been read dry? mod_ssl answers EAGAIN after a record without data (a TLS 1.3 session ticket, a key update), also where the next
 * record has been read from the socket already and waits in core's input filter: epoll would never tell. So a filter below mod_ssl remembers how its last read went.
 *
 * Thread: the one that owns the connection.
 */
#ifndef AIGW_DRY_H
#define AIGW_DRY_H

#include <httpd.h>

/* Adds the filter to a new connection to an upstream. */
void aigw_dry_watch(conn_rec *c);

/* 1: the last read below mod_ssl found nothing (or nobody watches): wait for the socket. 0: there may be more, read again. */
int aigw_dry(const conn_rec *c);

void aigw_dry_register(apr_pool_t *p);

#endif
