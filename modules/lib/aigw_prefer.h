/* The Prefer field of a request (RFC 7240): what a client would like, and can do without.
 *
 * Thread: any; no state, no memory.
 */
#ifndef AIGW_PREFER_H
#define AIGW_PREFER_H

#include <apr.h>

/* Seconds of the first wait=N of the field; -1: it does not say so, or not in whole seconds. field: may be NULL; several lines of it are joined by commas. */
apr_int64_t aigw_prefer_wait(const char *field);

#endif
