#include "aigw_jwks.h"
#include "aigw_base64url.h"

#include <apr_strings.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <string.h>

#define KID_MAX 256
#define RSA_MODULUS_MAX                                                                                                                    \
    1025                   /* bytes: 8192 bits, and a zero that some put before them. Checking a key of 16384 bits takes OpenSSL a second */
#define RSA_EXPONENT_MAX 8 /* bytes, as OpenSSL has it for long moduli */

/* ------------------------------------------------------------------ members */

static const char *string_of(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

static unsigned char *bytes_of(apr_pool_t *p, const json_t *jwk, const char *name, apr_size_t *len)
{
    const json_t *text = json_object_get(jwk, name);

    return json_is_string(text) ? aigw_base64url_decode(p, json_string_value(text), json_string_length(text), len) : NULL;
}

static int may_verify(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
    const char *op;
    size_t i;

    if (use && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0)) {
        return 0;
    }
    for (i = 0; i < json_array_size(ops); i++) {
        op = json_string_value(json_array_get(ops, i));
        if (op && !strcmp(op, "verify")) {
            return 1;
        }
    }
    return !ops;
}

/* What the key's alg leaves of what its type can do. */
static unsigned narrow(const json_t *jwk, unsigned algs)
{
    const json_t *alg = json_object_get(jwk, "alg");

    return !alg ? algs : json_is_string(alg) ? algs & aigw_jws_alg(json_string_value(alg)) : 0;
}

/* ------------------------------------------------------------------ keys */

/* The public key of these parameters in PEM, which is what libjwt reads; aigw_jws_public() judges it. Returns 1 if it is good. */
static int take_public(apr_pool_t *p, const char *type, OSSL_PARAM *params, aigw_jws_key_t *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *pkey = NULL;
    char *pem;
    long n;
    int good = ctx && bio && params && EVP_PKEY_fromdata_init(ctx) == 1 &&
               EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1 && PEM_write_bio_PUBKEY(bio, pkey) == 1 &&
               (n = BIO_get_mem_data(bio, &pem)) > 0 && aigw_jws_public(p, pem, (apr_size_t)n, key) == NULL;

    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(ctx);
    BIO_free(bio);
    ERR_clear_error(); /* mod_ssl and libcurl look at this thread's queue too */
    return good;
}

static int read_rsa(apr_pool_t *p, const json_t *jwk, aigw_jws_key_t *key)
{
    apr_size_t n_len = 0, e_len = 0;
    const unsigned char *n = bytes_of(p, jwk, "n", &n_len), *e = bytes_of(p, jwk, "e", &e_len);
    OSSL_PARAM_BLD *build;
    OSSL_PARAM *params = NULL;
    BIGNUM *modulus, *exponent;
    int good;

    if (!n || !e || !n_len || !e_len || n_len > RSA_MODULUS_MAX || e_len > RSA_EXPONENT_MAX) {
        return 0;
    }
    modulus = BN_bin2bn(n, (int)n_len, NULL);
    exponent = BN_bin2bn(e, (int)e_len, NULL);
    build = OSSL_PARAM_BLD_new();
    good = modulus && exponent && build && BN_is_odd(exponent) && !BN_is_one(exponent) &&
           OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
           OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1 && (params = OSSL_PARAM_BLD_to_param(build)) != NULL &&
           take_public(p, "RSA", params, key);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(exponent);
    BN_free(modulus);
    return good;
}

static const struct {
    const char *name;
    const char *group; /* OpenSSL's name */
    apr_size_t len;    /* bytes of a coordinate: all of them, also where they begin with zeros (RFC 7518, section 6.2.1.2) */
} curves[] = {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};

static int read_ec(apr_pool_t *p, const json_t *jwk, aigw_jws_key_t *key)
{
    const char *crv = string_of(jwk, "crv");
    apr_size_t x_len = 0, y_len = 0, i;
    const unsigned char *x = bytes_of(p, jwk, "x", &x_len), *y = bytes_of(p, jwk, "y", &y_len);
    unsigned char point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM params[3];

    for (i = 0; crv && i < sizeof curves / sizeof *curves; i++) {
        if (!strcmp(crv, curves[i].name) && x && y && x_len == curves[i].len && y_len == curves[i].len) {
            memcpy(point + 1, x, x_len);
            memcpy(point + 1 + x_len, y, y_len);
            params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curves[i].group, 0);
            params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x_len + y_len);
            params[2] = OSSL_PARAM_construct_end();
            return take_public(p, "EC", params, key);
        }
    }
    return 0;
}

static int read_oct(apr_pool_t *p, const json_t *jwk, aigw_jws_key_t *key)
{
    apr_size_t len = 0;
    unsigned char *k = bytes_of(p, jwk, "k", &len);
    int good = k && aigw_jws_secret(p, (const char *)k, len, key) == NULL;

    if (k) {
        OPENSSL_cleanse(k, len);
    }
    return good;
}

/* 1 and *key, or it is to be skipped. */
static int read_key(apr_pool_t *p, const json_t *jwk, aigw_jwks_from_e from, aigw_jws_key_t *key)
{
    const char *kty = string_of(jwk, "kty");
    const json_t *kid = json_object_get(jwk, "kid");
    int good;

    if (!kty || !may_verify(jwk) || (kid && (!json_is_string(kid) || json_string_length(kid) > KID_MAX)) ||
        (from == AIGW_JWKS_FETCHED && json_object_get(jwk, "d"))) {
        return 0;
    }
    good = !strcmp(kty, "RSA")                             ? read_rsa(p, jwk, key)
           : !strcmp(kty, "EC")                            ? read_ec(p, jwk, key)
           : !strcmp(kty, "oct") && from == AIGW_JWKS_FILE ? read_oct(p, jwk, key)
                                                           : 0;
    if (good) {
        key->kid = kid ? apr_pstrdup(p, json_string_value(kid)) : NULL;
        key->algs = narrow(jwk, key->algs);
    }
    return good && key->algs;
}

/* ------------------------------------------------------------------ sets */

static const char *read_keys(apr_pool_t *p, const json_t *keys, aigw_jwks_from_e from, aigw_jwks_t *set)
{
    aigw_jws_key_t key;
    size_t i;

    if (!json_is_array(keys)) {
        return "it is no JWKS: it has no array \"keys\"";
    }
    if (json_array_size(keys) > AIGW_JWKS_KEYS_MAX) {
        return "it has more than " APR_STRINGIFY(AIGW_JWKS_KEYS_MAX) " keys";
    }
    set->keys = apr_array_make(p, (int)json_array_size(keys), sizeof key);
    for (i = 0; i < json_array_size(keys); i++) {
        memset(&key, 0, sizeof key);
        if (read_key(p, json_array_get(keys, i), from, &key)) {
            APR_ARRAY_PUSH(set->keys, aigw_jws_key_t) = key;
        }
        else {
            set->skipped++;
        }
    }
    return set->keys->nelts ? NULL
           : !set->skipped
               ? "it has no keys"
               : apr_psprintf(
                     p, "none of its %d keys can be used: they are not RSA (2048 bits or more), EC (P-256, P-384, P-521)%s for signatures",
                     set->skipped, from == AIGW_JWKS_FILE ? " or oct (256 bits or more)" : "");
}

const char *aigw_jwks_read(apr_pool_t *p, const char *text, apr_size_t len, aigw_jwks_from_e from, aigw_jwks_t *set)
{
    const char *fault;
    json_error_t error;
    json_t *root;

    memset(set, 0, sizeof *set);
    if (len > AIGW_JWKS_BYTES_MAX) {
        return "it is larger than 256 KiB";
    }
    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!root) { /* error.text repeats what stands there: perhaps a secret */
        return apr_psprintf(p, "it is no JSON, or has a name twice: line %d, column %d", error.line, error.column);
    }
    fault = read_keys(p, json_object_get(root, "keys"), from, set);
    json_decref(root);
    return fault;
}

/* ------------------------------------------------------------------ looking up */

int aigw_jwks_find(const aigw_jwks_t *set, const char *kid, unsigned alg, const aigw_jws_key_t **found, int max)
{
    int n = 0, pass, i;

    for (pass = 0; pass < 2; pass++) { /* first the keys of that kid, then those of none */
        for (i = 0; i < set->keys->nelts && n < max; i++) {
            const aigw_jws_key_t *key = &APR_ARRAY_IDX(set->keys, i, aigw_jws_key_t);
            int fits = !kid ? pass == 0 : key->kid ? pass == 0 && !strcmp(key->kid, kid) : pass == 1;

            if (fits && (key->algs & alg)) {
                found[n++] = key;
            }
        }
    }
    return n;
}

int aigw_jwks_copy(apr_pool_t *p, const aigw_jwks_t *set, const char *kid, unsigned alg, aigw_jws_key_t *found, int max)
{
    const aigw_jws_key_t *keys[AIGW_JWKS_KEYS_MAX];
    int n = aigw_jwks_find(set, kid, alg, keys, max < AIGW_JWKS_KEYS_MAX ? max : AIGW_JWKS_KEYS_MAX), i;

    for (i = 0; i < n; i++) {
        found[i] = *keys[i];
        found[i].kid = apr_pstrdup(p, keys[i]->kid);
        found[i].material = apr_pstrmemdup(p, keys[i]->material, keys[i]->len);
    }
    return n;
}

int aigw_jwks_knows(const aigw_jwks_t *set, const char *kid)
{
    int i;

    for (i = 0; kid && i < set->keys->nelts; i++) {
        const aigw_jws_key_t *key = &APR_ARRAY_IDX(set->keys, i, aigw_jws_key_t);

        if (key->kid && !strcmp(key->kid, kid)) {
            return 1;
        }
    }
    return 0;
}
