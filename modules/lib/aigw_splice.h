/* Edits of a JSON text at scanned offsets: the text stays where it is, what changes is a list of pieces.
 * A splice replaces [start, end) by other bytes; several must not overlap. Nothing is re-serialised.
 *
 * Thread: the owner's. Pool: the list and what is inserted live in the pool given; the pieces point into text and inserts.
 */
#ifndef AIGW_SPLICE_H
#define AIGW_SPLICE_H

#include "aigw_json_scan.h"
#include <sys/uio.h>

#define AIGW_SPLICES_MAX 8

typedef struct aigw_splice_t aigw_splice_t;

aigw_splice_t *aigw_splice_make(apr_pool_t *p, const aigw_json_scan_t *scan);

/* Replaces [start, end) by insert (copied). APR_EINVAL if out of bounds, overlapping an earlier one, or one too many. start == end
 * inserts; several inserts at one place stand in the order in which they were made, before what replaces the bytes behind it. */
apr_status_t aigw_splice_replace(aigw_splice_t *s, apr_size_t start, apr_size_t end, const char *insert, apr_size_t len);

/* Sets the member of that name in the object at `object` (the root or a nested one) to the JSON text json: replaces its value where it is
 * there (each of them, should a nested object have several), else adds it before the first member. The name must need no escaping, json
 * must be one JSON text. APR_EINVAL as above, and for a name that was set before. */
apr_status_t aigw_splice_set(aigw_splice_t *s, const aigw_json_span_t *object, const char *name, const char *json);

/* The result as pieces in order, none of them empty: *n of them, in p. *total (may be NULL) their bytes. */
struct iovec *aigw_splice_pieces(const aigw_splice_t *s, apr_pool_t *p, int *n, apr_size_t *total);

#endif
