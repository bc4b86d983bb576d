/* Reader of an upstream's HTTP/1.x response: bytes in, head and body out.
 *
 * Incremental and allocation-bounded: it may be fed one byte at a time, and what it keeps is one line of at most
 * AIGW_HTTP_LINE_MAX bytes and a head of at most AIGW_HTTP_HEAD_MAX. It never reads past what it is given and never
 * trusts a length. Framing follows RFC 9112 section 6.3; what that section calls a request-smuggling risk
 * (Transfer-Encoding and Content-Length together, two different lengths, a transfer coding other than chunked) is an error here.
 *
 * Thread: the one that owns the reader; no globals. Pool: the head's strings live in the pool given to make().
 */
#ifndef AIGW_HTTP_RESPONSE_H
#define AIGW_HTTP_RESPONSE_H

#include <apr_pools.h>
#include <apr_tables.h>

#define AIGW_HTTP_LINE_MAX    16384 /* bytes of one status, header, trailer or chunk-size line, CRLF included */
#define AIGW_HTTP_HEAD_MAX    65536 /* bytes of one head, or of all trailers */
#define AIGW_HTTP_FIELDS_MAX  200   /* header fields of one head */
#define AIGW_HTTP_INTERIM_MAX 16    /* 1xx responses before the real one */

typedef struct aigw_http_response_t aigw_http_response_t;

/* What the caller learns; data points into the caller's own buffer and lives as long as that. */
typedef struct aigw_http_body_t {
    const char *data; /* body bytes of this step, or NULL */
    apr_size_t len;   /* their number */
} aigw_http_body_t;

typedef enum {
    AIGW_HTTP_MORE, /* all input is used up, more is needed */
    AIGW_HTTP_HEAD, /* the final head is complete (once; never for a 1xx): status() and headers() hold */
    AIGW_HTTP_BODY, /* body bytes in *body */
    AIGW_HTTP_DONE, /* the response is complete; what follows in the input does not belong to it */
    AIGW_HTTP_BAD   /* not an HTTP/1.x response: why() says what */
} aigw_http_step_e;

/* A reader in pool p. head_only: the request was HEAD, so no body follows whatever the head says. */
aigw_http_response_t *aigw_http_response_make(apr_pool_t *p, int head_only);

/* Takes bytes from [*p, end), moves *p on and says what was found. Call it until it says MORE, DONE or BAD. */
aigw_http_step_e aigw_http_response_feed(aigw_http_response_t *h, const char **p, const char *end, aigw_http_body_t *body);

/* The upstream closed: DONE where closing is how this body ends, BAD where it is cut short.
 * why() then says where. Nothing may be fed after it. */
aigw_http_step_e aigw_http_response_eof(aigw_http_response_t *h);

int aigw_http_response_status(const aigw_http_response_t *h);                 /* 200..999, 0 before HEAD */
const apr_table_t *aigw_http_response_headers(const aigw_http_response_t *h); /* fields as they came, names as they came */
const char *aigw_http_response_why(const aigw_http_response_t *h);  /* after BAD: a constant text for the log; never upstream bytes */
int aigw_http_response_started(const aigw_http_response_t *h);      /* 1 once a single byte has been fed (1xx counts) */
int aigw_http_response_reusable(const aigw_http_response_t *h);     /* after DONE, not after eof(): 1 if it may carry a request more */
apr_off_t aigw_http_response_length(const aigw_http_response_t *h); /* after HEAD: bytes of the body (0 if it has none), or -1 */

#endif
