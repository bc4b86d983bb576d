/* A file in the memory of a child: read before the children are made, and again by each of them when it has changed.
 *
 * One that cannot be read, or has a mistake in it, leaves everything as it was, and is logged once for each change of it.
 */
#ifndef AIGW_AUTH_FOLLOWED_FILE_H
#define AIGW_AUTH_FOLLOWED_FILE_H

#include <httpd.h>
#include "generation.h"

typedef struct aigw_followed_file_t aigw_followed_file_t;

/* What is in it. */
typedef struct aigw_followed_kind_t {
    const char *name, *things; /* what it is and what is in it, for messages: "key file", "keys" */
    apr_size_t max;            /* bytes */
    /* Reads it into p, where nothing may point into text. NULL: *fault is what to say behind the file's name (": it is empty", ", line 3: …"). */
    void *(*read)(apr_pool_t *p, const char *text, apr_size_t len, const char **fault);
    apr_size_t (*count)(const void *data); /* how many things */
} aigw_followed_kind_t;

/* Reading the configuration: nothing is opened yet. path: absolute, copied. In p, for as long as the configuration lives. */
aigw_followed_file_t *aigw_followed_file_make(apr_pool_t *p, const char *path, const aigw_followed_kind_t *kind);

const char *aigw_followed_file_path(const aigw_followed_file_t *file);

/* check_config: reads it. What was read, or NULL: the mistake has been logged. Twice does no harm. */
const void *aigw_followed_file_load(aigw_followed_file_t *file, server_rec *s, apr_pool_t *pconf);

/* post_config: each child looks every second whether it has changed. APR_ENOTIMPL: mod_watchdog is not loaded. */
apr_status_t aigw_followed_file_watch(aigw_followed_file_t *file, apr_pool_t *pconf);

/* child_init: reads it again if it has changed since. */
void aigw_followed_file_child_init(aigw_followed_file_t *file, apr_pool_t *pchild, server_rec *s);

/* What was read last, until it is given back; NULL: nothing. Any thread; never waits for the disk: a file that has changed is read by the child's watchdog thread, and counts
 * from then on. */
aigw_generation_t *aigw_followed_file_take(aigw_followed_file_t *file);
void aigw_followed_file_give_back(aigw_followed_file_t *file, aigw_generation_t *g);

#endif
