/* Signatures of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over "ID.TIMESTAMP.BODY".
 *
 * Thread: any; no state.
 */
#ifndef AIGW_WEBHOOK_H
#define AIGW_WEBHOOK_H

#include <apr_pools.h>

#define AIGW_WEBHOOK_KEY_MIN 24 /* bytes, as the standard says */
#define AIGW_WEBHOOK_KEY_MAX 64

typedef struct aigw_webhook_key_t {
    unsigned char bytes[AIGW_WEBHOOK_KEY_MAX];
    apr_size_t len;
} aigw_webhook_key_t;

/* From "whsec_" and base64. NULL, or what is wrong with it: a constant, with nothing of the secret. p: for work. */
const char *aigw_webhook_key_read(apr_pool_t *p, const char *text, aigw_webhook_key_t *key);

/* The field webhook-signature, in p: "v1,…" of each of the n keys, with spaces between them: while a key is being changed, the receiver knows one of two. NULL: no memory.
 * timestamp: seconds since 1970, as in the field webhook-timestamp. */
const char *aigw_webhook_sign(apr_pool_t *p, const aigw_webhook_key_t *keys, int n, const char *id, apr_int64_t timestamp, const char *body,
                              apr_size_t len);

#endif
