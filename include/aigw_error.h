/* The one error shape (WIRE.md section 2): {"error": {"message", "type", "param", "code"}}.
 *
 * An aigw_error_t is plain data and constant once made; its strings live in the pool of whoever made it.
 */
#ifndef AIGW_ERROR_H
#define AIGW_ERROR_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct aigw_error_t {
    int status;                      /* HTTP status, 400..599 */
    const char *type;                /* one of the types of WIRE.md; NULL: the one that goes with status */
    const char *code;                /* one of the codes of WIRE.md, or an upstream's own; may be NULL (null on the wire) */
    const char *param;               /* the field at fault, "messages[2].role"; may be NULL */
    const char *message;             /* for the client: UTF-8, never an address, a path or a secret */
    apr_interval_time_t retry_after; /* microseconds; > 0: Retry-After (whole seconds, rounded up) and retry-after-ms */
    const char *retry_after_as_is;   /* an upstream's own Retry-After value (seconds or HTTP-date) or NULL; wins over retry_after */
    unsigned no_retry : 1;           /* x-should-retry: false, for what a retry cannot mend */
    unsigned never : 1;              /* the same question will never be taken: waiting does not help */
} aigw_error_t;

#endif
