/* A key file in the memory of a child: read before the children are made, and again by each of them when it has changed.
 *
 * A file that cannot be read, or has a mistake in it, leaves the keys as they were, and is logged once for each change of it.
 */
#ifndef AIGW_KEY_STORE_H
#define AIGW_KEY_STORE_H

#include <httpd.h>
#include "aigw_request.h"

typedef struct aigw_key_store_t aigw_key_store_t;

/* Reading the configuration: nothing is opened yet. path: absolute, copied. In p, for as long as the configuration lives. */
aigw_key_store_t *aigw_key_store_make(apr_pool_t *p, const char *path);

const char *aigw_key_store_path(const aigw_key_store_t *store);

/* check_config: reads the file. 0, or the mistake has been logged, with its line. Twice does no harm. */
int aigw_key_store_load(aigw_key_store_t *store, server_rec *s, apr_pool_t *pconf);

/* post_config: each child looks every second whether the file has changed. APR_ENOTIMPL: mod_watchdog is not loaded. */
apr_status_t aigw_key_store_watch(aigw_key_store_t *store, apr_pool_t *pconf);

/* child_init: reads the file again if it has changed since. */
void aigw_key_store_child_init(aigw_key_store_t *store, apr_pool_t *pchild, server_rec *s);

typedef enum { AIGW_KEY_UNKNOWN, AIGW_KEY_GOOD, AIGW_KEY_DISABLED, AIGW_KEY_EXPIRED } aigw_key_e;

/* Whose key is it? GOOD fills the identity (in p); DISABLED and EXPIRED set its key_id only. now: microseconds since 1970. Any thread; never waits
 * for the disk: a file that has changed is read by the child's watchdog thread, and counts from then on. */
aigw_key_e aigw_key_store_find(aigw_key_store_t *store, const char *key, apr_size_t len, apr_time_t now, apr_pool_t *p,
                               aigw_identity_t *identity);

/* The same by the key's id, for who was let in by it before; also one that has expired since is GOOD. */
aigw_key_e aigw_key_store_named(aigw_key_store_t *store, const char *id, apr_pool_t *p, aigw_identity_t *identity);

#endif
