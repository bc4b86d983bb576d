/* Text in UTF-8: counting it, cleaning it for a message, and making JSON of it whatever it is.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_TEXT_H
#define AIGW_TEXT_H

#include <apr_pools.h>
#include <jansson.h>

/* Characters (code points); a byte that belongs to none counts as one. */
apr_size_t aigw_text_length(const char *s, apr_size_t len);

/* 1 if all of it is UTF-8 (RFC 3629). */
int aigw_text_valid(const char *s, apr_size_t len);

/* 1 if there is nothing to see in it: empty, or white space only. */
int aigw_text_blank(const char *s, apr_size_t len);

/* A JSON string of it, a new reference; what is not UTF-8 becomes U+FFFD. NULL only without memory. */
json_t *aigw_text_json(const char *s, apr_size_t len);

/* What a client sent, as an error message may show it: in p, at most max characters, without control characters and without those that turn the
 * direction of what follows. Says "…" where something was cut. */
char *aigw_text_shown(apr_pool_t *p, const char *s, apr_size_t max);

#endif
