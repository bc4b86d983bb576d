/* Base64url without padding (RFC 7515, section 2), read strictly: exactly one text stands for some bytes.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_BASE64URL_H
#define AIGW_BASE64URL_H

#include <apr_pools.h>

/* The bytes of text (n characters) in p, with a NUL behind them. NULL: it has another character, padding, bits that belong to no byte, or an impossible length. No text is
 * no bytes. */
unsigned char *aigw_base64url_decode(apr_pool_t *p, const char *text, apr_size_t n, apr_size_t *len);

#endif
