/* Reading a request's whole body, bounded, into one block. */
#ifndef AIGW_CORE_BODY_H
#define AIGW_CORE_BODY_H

#include <httpd.h>
#include "aigw_error.h"

const aigw_error_t *aigw_body_read(request_rec *r, apr_off_t limit, char **data, apr_size_t *len);
void aigw_body_free(request_rec *r, char *data);

#endif
