/* What all children share of one address that keys come from: the last good document, and whose turn it is to ask for the next. In anonymous shared memory of the main
 * process, which a restart keeps, so that an issuer that is down then does no harm.
 *
 * A lock is held for a few instructions, or while a document is copied. It is a robust mutex: a child that is killed with it leaves it to the next one, and no write is seen
 * before it is whole (a document goes to the slot that nobody reads, and one store of its number publishes it). A seqlock would do for the document, but not for deciding who
 * fetches; that is a lease with a deadline, because whoever has it may die as well.
 *
 * now: aigw_clock_now(), whose values are the same in all processes. Thread: any, once there are children.
 */
#ifndef AIGW_AUTH_JWKS_SHARE_H
#define AIGW_AUTH_JWKS_SHARE_H

#include <httpd.h>
#include "jwks_conf.h"

typedef struct aigw_jwks_share_t aigw_jwks_share_t;

/* post_config: the segment of this address and CA, made or taken up from before the restart. A fetch is due at once. */
apr_status_t aigw_jwks_share_open(aigw_jwks_share_t **share, server_rec *s, apr_pool_t *pconf, const char *url, const char *ca_file);

/* post_config, when all are open: those that the configuration does not have any more go. Children of the old one keep theirs. */
void aigw_jwks_share_sweep(void);

/* ------------------------------------------------------------------ the document */

/* The number of the document that is there; another number is another document. 0: none has ever come. Takes no lock. */
apr_uint32_t aigw_jwks_share_number(const aigw_jwks_share_t *share);

/* When the issuer gave it last, to the second. Takes no lock. */
apr_time_t aigw_jwks_share_good_at(const aigw_jwks_share_t *share);

/* Copies it to p. Returns its number. */
apr_uint32_t aigw_jwks_share_read(aigw_jwks_share_t *share, apr_pool_t *p, char **text, apr_size_t *len);

/* ------------------------------------------------------------------ fetching: the keeper's thread of a child */

/* 1: it is our turn, until the lease is over; *flight names it. 0: *again says when to ask again. */
int aigw_jwks_share_lease(aigw_jwks_share_t *share, const aigw_jwks_conf_t *rules, apr_time_t now, apr_uint32_t *flight, apr_time_t *again);

typedef enum {
    AIGW_JWKS_LATE,      /* the lease was over: somebody else fetches. Nothing was changed */
    AIGW_JWKS_SAME,      /* the document that was there already */
    AIGW_JWKS_NEW,       /* another one */
    AIGW_JWKS_RECOVERED, /* either, after a failure */
    AIGW_JWKS_FAILED,    /* the first failure, or for another reason than the last one */
    AIGW_JWKS_STILL      /* for the same reason as the last one */
} aigw_jwks_end_e;

/* The end of a flight: a document, at most AIGW_JWKS_BYTES_MAX bytes; or text NULL and why it failed, in words that are the same for the same reason. */
aigw_jwks_end_e aigw_jwks_share_end(aigw_jwks_share_t *share, const aigw_jwks_conf_t *rules, apr_time_t now, apr_uint32_t flight,
                                    const char *text, apr_size_t len, const char *reason);

/* We shall not end it: another child may, now. */
void aigw_jwks_share_abandon(aigw_jwks_share_t *share, apr_uint32_t flight);

/* ------------------------------------------------------------------ waiting for a fetch: a worker's thread */

/* A request needs a newer document than the one it has seen, or has none that is good (have 0). 1: one is being fetched or will be (wake the keeper), *ended is for
 * aigw_jwks_share_wait(). 0: no, that was done a short while ago; or there is none, and the last fetch failed: who waited for each try would keep a thread busy. */
int aigw_jwks_share_ask(aigw_jwks_share_t *share, apr_time_t now, int have, apr_uint32_t *ended);

/* Waits, a fraction of a second at most, until a flight has ended. 1: one has. */
int aigw_jwks_share_wait(aigw_jwks_share_t *share, apr_uint32_t ended);

#endif
