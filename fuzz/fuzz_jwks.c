/* aigw_jwks: whatever the text, a key that is kept has a type that says what it may verify, a public key of that type, and is found. OpenSSL throws dice to judge an RSA
 * modulus: one that is nearly good is so at one time and not at the next, so two readings are not compared. */
#include "fuzz.h"
#include "aigw_jwks.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static int type_of(const aigw_jws_key_t *key)
{
    BIO *bio = BIO_new_mem_buf(key->material, (int)key->len);
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    int type;

    FUZZ_MUST(pkey != NULL);
    type = EVP_PKEY_get_base_id(pkey);
    FUZZ_MUST(type != EVP_PKEY_RSA || (EVP_PKEY_get_bits(pkey) >= AIGW_JWS_RSA_BITS && EVP_PKEY_get_bits(pkey) <= 8200));
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return type;
}

static void check_key(const aigw_jwks_t *set, const aigw_jws_key_t *key)
{
    const aigw_jws_key_t *found[AIGW_JWKS_KEYS_MAX];
    unsigned alg;
    int n, i;

    FUZZ_MUST(key->algs && key->material && key->len == strlen(key->material));
    if (key->algs & AIGW_JWS_RS) {
        FUZZ_MUST(!(key->algs & ~AIGW_JWS_RS) && type_of(key) == EVP_PKEY_RSA);
    }
    else {
        FUZZ_MUST(!(key->algs & ~AIGW_JWS_ES) && !(key->algs & (key->algs - 1)) && type_of(key) == EVP_PKEY_EC);
    }
    for (alg = 1; alg & AIGW_JWS_ALL; alg <<= 1) {
        n = aigw_jwks_find(set, key->kid, alg, found, AIGW_JWKS_KEYS_MAX);
        for (i = 0; i < n && found[i] != key; i++) {
        }
        FUZZ_MUST((i < n) == ((key->algs & alg) != 0));
    }
    FUZZ_MUST(!key->kid || aigw_jwks_knows(set, key->kid));
}

static void check(apr_pool_t *p, const uint8_t *text, size_t size, aigw_jwks_from_e from)
{
    char *exact = fuzz_copy(text, size);
    aigw_jwks_t set;
    const char *fault = aigw_jwks_read(p, exact, size, from, &set);
    int i;

    free(exact); /* nothing points into it */
    if (fault) {
        FUZZ_MUST(*fault);
        return;
    }
    FUZZ_MUST(set.keys->nelts > 0 && set.skipped >= 0 && set.keys->nelts + set.skipped <= AIGW_JWKS_KEYS_MAX);
    for (i = 0; i < set.keys->nelts; i++) {
        const aigw_jws_key_t *key = &APR_ARRAY_IDX(set.keys, i, aigw_jws_key_t);

        if (key->algs & AIGW_JWS_HS) {
            FUZZ_MUST(from == AIGW_JWKS_FILE && !(key->algs & ~AIGW_JWS_HS) && key->len >= 32);
        }
        else {
            check_key(&set, key);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();

    check(p, data, size, AIGW_JWKS_FETCHED);
    check(p, data, size, AIGW_JWKS_FILE);
    apr_pool_destroy(p);
    return 0;
}
