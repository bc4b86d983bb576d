#include "aigw_webhook.h"

#include <apr_encode.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>
#include <string.h>

#define PREFIX "whsec_"

/* Base64 with or without its padding, read strictly: what is read is written the same again. */
static int decode(apr_pool_t *p, const char *text, unsigned char *to, apr_size_t room, apr_size_t *len)
{
    const apr_size_t n = strlen(text);
    unsigned char *bytes = apr_palloc(p, n + 4);
    const char *again;
    int good;

    if (apr_decode_base64_binary(bytes, text, (apr_ssize_t)n, APR_ENCODE_NONE, len) != APR_SUCCESS || *len > room) {
        return 0;
    }
    again = apr_pencode_base64_binary(p, bytes, (apr_ssize_t)*len, n % 4 ? APR_ENCODE_NOPADDING : APR_ENCODE_NONE, NULL);
    good = again && !strcmp(again, text);
    memcpy(to, bytes, *len);
    OPENSSL_cleanse(bytes, n + 4);
    return good;
}

const char *aigw_webhook_key_read(apr_pool_t *p, const char *text, aigw_webhook_key_t *key)
{
    if (strncmp(text, PREFIX, sizeof PREFIX - 1)) {
        return "it does not begin with whsec_";
    }
    if (!decode(p, text + sizeof PREFIX - 1, key->bytes, sizeof key->bytes, &key->len) || key->len < AIGW_WEBHOOK_KEY_MIN) {
        return "behind whsec_ stands no base64 of 24 to 64 bytes";
    }
    return NULL;
}

const char *aigw_webhook_sign(apr_pool_t *p, const aigw_webhook_key_t *keys, int n, const char *id, apr_int64_t timestamp, const char *body,
                              apr_size_t len)
{
    const char *head = apr_psprintf(p, "%s.%" APR_INT64_T_FMT ".", id, timestamp), *all = NULL;
    const apr_size_t first = strlen(head);
    unsigned char *text = malloc(first + len + 1), mac[EVP_MAX_MD_SIZE];
    unsigned size;
    int i;

    if (!text) {
        return NULL;
    }
    memcpy(text, head, first);
    memcpy(text + first, body, len);
    for (i = 0; i < n; i++) {
        if (!HMAC(EVP_sha256(), keys[i].bytes, (int)keys[i].len, text, first + len, mac, &size)) {
            all = NULL;
            break;
        }
        all = apr_pstrcat(p, all ? all : "", all ? " " : "", "v1,",
                          apr_pencode_base64_binary(p, mac, (apr_ssize_t)size, APR_ENCODE_NONE, NULL), NULL);
    }
    free(text);
    return all;
}
