/* Taking a request in: its content type, its body as scanned JSON, the model it names. Nothing has been spent yet when this refuses.
 *
 * Thread: the owner of r, which may block here, or of p. Errors are in r->pool, or p.
 */
#ifndef AIGW_STREAM_INTAKE_H
#define AIGW_STREAM_INTAKE_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_call.h"
#include "aigw_json_scan.h"

typedef struct aigw_intake_t {
    apr_pool_t *pool;
    server_rec *server;
    request_rec *r; /* NULL: it is a job's */
    char *data;     /* the body, the core's; goes with r->pool at the latest; NULL once freed */
    apr_size_t len;
    aigw_json_scan_t scan; /* of data; its root is an object */
} aigw_intake_t;

/* Reads the body of r, at most limit bytes of it. NULL, or why it is refused (413, 415, 400 and what reading may bring). */
const aigw_error_t *aigw_intake_read(aigw_intake_t *in, request_rec *r, apr_off_t limit);

/* The same for a text that somebody has: NULL, or why it is refused (400). data must live as long as what is read from it. In p. */
const aigw_error_t *aigw_intake_take(aigw_intake_t *in, server_rec *s, apr_pool_t *p, const char *data, apr_size_t len);

/* Gives the body's memory back before r's end does. */
void aigw_intake_free(aigw_intake_t *in);

/* A mistake in the field param; format as printf. */
const aigw_error_t *aigw_intake_invalid(apr_pool_t *p, const char *param, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The model of that name, or the default where name is NULL. NULL, or why there is none. */
const aigw_error_t *aigw_intake_model(server_rec *s, apr_pool_t *p, const char *name, const aigw_model_t **model);

/* The error for a model that is not there, or that the caller may not see. */
const aigw_error_t *aigw_intake_no_model(apr_pool_t *p, const char *name);

#endif
