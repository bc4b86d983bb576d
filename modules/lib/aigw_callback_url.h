/* Addresses that a client asks to be called back at, and the list of those that an administrator allows.
 *
 * Read strictly, so that nothing can be read in two ways: a scheme, a host (letters, digits, "-", "_", dots; an IP address only in its usual form), a port, a path, a query. No user, no fragment, nothing
 * but visible ASCII.
 *
 * Thread: any; no state. A list is constant once it is made.
 */
#ifndef AIGW_CALLBACK_URL_H
#define AIGW_CALLBACK_URL_H

#include <apr_pools.h>
#include <apr_tables.h>

#define AIGW_CALLBACK_URL_MAX 2048 /* bytes */

typedef struct aigw_callback_url_t {
    const char *origin; /* "https://hooks.example.com:8443": lower case, without a default port. For a log: a path may be a secret */
    const char *text;   /* the whole, with that origin */
} aigw_callback_url_t;

typedef struct aigw_callback_list_t {
    apr_array_header_t *origins; /* aigw_origin_t; NULL: empty */
    int any;                     /* every host, by https on its usual port */
} aigw_callback_list_t;

/* NULL, or what is wrong, a constant: the rest of a sentence that begins with its name. */
const char *aigw_callback_url_read(apr_pool_t *p, const char *written, aigw_callback_url_t *url);

/* Adds "https://hooks.example.com", "*.example.org:8443" (https is meant), "http://[::1]:8080" or "*". NULL, or what is wrong, in p. */
const char *aigw_callback_list_add(apr_pool_t *p, aigw_callback_list_t *list, const char *written);

int aigw_callback_list_has(const aigw_callback_list_t *list, const aigw_callback_url_t *url);
int aigw_callback_list_is_empty(const aigw_callback_list_t *list);

#endif
