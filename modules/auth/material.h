/* Keys and secrets that are on this machine, read when httpd starts: "file:PATH" or "env:NAME". */
#ifndef AIGW_AUTH_MATERIAL_H
#define AIGW_AUTH_MATERIAL_H

#include <httpd.h>

#define AIGW_MATERIAL_MAX 65536 /* bytes */

/* 1 if the text names such a source. */
int aigw_material_is_source(const char *source);

/* Reads it. Of one line without PEM the line's end is dropped. NULL with *text (NUL-terminated, in p) and *len, or why not, in p; never a part of the secret. Thread: the one that reads the configuration. */
const char *aigw_material_read(apr_pool_t *p, const char *source, const char **text, apr_size_t *len);

/* check_config: says in the log that everybody on this machine may read or write the file of a source that has a secret. Nothing for env:. */
void aigw_material_warn_if_open(const char *path, const server_rec *s, apr_pool_t *p);

/* The path of a file: source, in p; NULL: it is none. */
const char *aigw_material_path(apr_pool_t *p, const char *source);

#endif
