#include "aigw_limit_hash.h"

#include <openssl/evp.h>
#include <string.h>

static EVP_MD *sha256; /* set before there are threads. NULL: not asked for */

static apr_status_t forget(void *dummy)
{
    EVP_MD_free(sha256);
    sha256 = NULL;
    return APR_SUCCESS;
}

void aigw_limit_hash_init(apr_pool_t *p)
{
    if (!sha256) {
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        apr_pool_cleanup_register(p, NULL, forget, apr_pool_cleanup_null);
    }
}

void aigw_limit_hash(const char *limit, const char *section, const char *who, unsigned char key[AIGW_LIMIT_KEY])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, sha256 ? sha256 : EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, limit, strlen(limit) + 1) &&
             EVP_DigestUpdate(ctx, section, strlen(section) + 1) && EVP_DigestUpdate(ctx, who, strlen(who)) &&
             EVP_DigestFinal_ex(ctx, digest, NULL);

    EVP_MD_CTX_free(ctx);
    if (!ok) {
        memset(digest, 0, AIGW_LIMIT_KEY);
    }
    memcpy(key, digest, AIGW_LIMIT_KEY);
}
