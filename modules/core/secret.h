/* Secrets from env:NAME, file:PATH or exec:COMMAND. Never from the command line, never to a log. Read once at start, as the user httpd is started by. */
#ifndef AIGW_SECRET_H
#define AIGW_SECRET_H

#include <apr_pools.h>

/* While the configuration is read: NULL, or what is wrong with a source, beginning with `what`. */
const char *aigw_secret_source_fault(apr_pool_t *p, const char *what, const char *source);

/* The secret in p, without the line end that files and commands add; NULL and *why (in ptemp, without the secret) if it cannot be had.
 * At most 8 KiB, one line, no control characters (it goes into a header). Blocks (exec: for at most 10 s). */
const char *aigw_secret_read(apr_pool_t *p, apr_pool_t *ptemp, const char *source, const char **why);

#endif
