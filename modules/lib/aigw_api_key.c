#include "aigw_api_key.h"

#include <apr_encode.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

int aigw_api_key_id_valid(const char *s)
{
    apr_size_t n = 0;

    for (; s && s[n]; n++) {
        if (n >= AIGW_API_KEY_ID_MAX || !(apr_isalnum(s[n]) || s[n] == '.' || s[n] == '-') || (unsigned char)s[n] > 127) {
            return 0;
        }
    }
    return n > 0;
}

char *aigw_api_key_format(apr_pool_t *p, const char *id, const unsigned char random[AIGW_API_KEY_RANDOM])
{
    char secret[(AIGW_API_KEY_RANDOM + 2) / 3 * 4 + 1], *key;

    apr_encode_base64_binary(secret, random, AIGW_API_KEY_RANDOM, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
    key = apr_pstrcat(p, "aigw_", id, "_", secret, NULL);
    OPENSSL_cleanse(secret, sizeof secret);
    return key;
}

apr_status_t aigw_api_key_digest(const char *key, apr_size_t len, unsigned char digest[AIGW_SHA256])
{
    return EVP_Digest(key, len, digest, NULL, EVP_sha256(), NULL) ? APR_SUCCESS : APR_EGENERAL;
}
