/* One document from one https address, by libcurl: who it is from has been proved, and it is no larger and takes no longer than it may.
 *
 * Thread: the one that runs the multi handle.
 */
#ifndef AIGW_AUTH_JWKS_FETCH_H
#define AIGW_AUTH_JWKS_FETCH_H

#include <apr_general.h>
#include <curl/curl.h>
#include "jwks_conf.h"

typedef struct aigw_jwks_fetch_t aigw_jwks_fetch_t;

/* Adds the transfer to multi. NULL: no memory. url and ca_file live longer than it does. */
aigw_jwks_fetch_t *aigw_jwks_fetch_begin(CURLM *multi, const char *url, const aigw_jwks_conf_t *conf, void *baton);

/* What begin() was given, of a handle that multi says has ended. */
void *aigw_jwks_fetch_baton(CURL *easy);

/* What came: the text, which goes with the transfer. NULL: *reason is why, in words that are always the same for the same reason; *detail adds to it, and may be "". */
const char *aigw_jwks_fetch_result(aigw_jwks_fetch_t *fetch, CURLcode code, apr_size_t *len, const char **reason, const char **detail);

/* Ends it, if it has not ended, and frees it. */
void aigw_jwks_fetch_free(aigw_jwks_fetch_t *fetch, CURLM *multi);

#endif
