#include "aigw_jws.h"

#include <apr_encode.h>
#include <apr_strings.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bit;
    jwt_alg_t alg;
} algorithms[] = {
    {"HS256", AIGW_JWS_HS256, JWT_ALG_HS256}, {"HS384", AIGW_JWS_HS384, JWT_ALG_HS384}, {"HS512", AIGW_JWS_HS512, JWT_ALG_HS512},
    {"RS256", AIGW_JWS_RS256, JWT_ALG_RS256}, {"RS384", AIGW_JWS_RS384, JWT_ALG_RS384}, {"RS512", AIGW_JWS_RS512, JWT_ALG_RS512},
    {"ES256", AIGW_JWS_ES256, JWT_ALG_ES256}, {"ES384", AIGW_JWS_ES384, JWT_ALG_ES384}, {"ES512", AIGW_JWS_ES512, JWT_ALG_ES512}};

#define ALGORITHMS (sizeof algorithms / sizeof *algorithms)

unsigned aigw_jws_alg(const char *name)
{
    apr_size_t i;

    for (i = 0; i < ALGORITHMS; i++) {
        if (!strcmp(algorithms[i].name, name)) {
            return algorithms[i].bit;
        }
    }
    return 0;
}

const char *aigw_jws_alg_name(unsigned alg)
{
    apr_size_t i;

    for (i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i].bit == alg) {
            return algorithms[i].name;
        }
    }
    return "none";
}

static jwt_alg_t libjwt_alg(unsigned alg)
{
    return jwt_str_alg(aigw_jws_alg_name(alg));
}

/* ------------------------------------------------------------------ keys */

static int is_der_key(const unsigned char *bytes, apr_size_t len)
{
    const unsigned char *at = bytes;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)len);
    X509 *x509 = NULL;
    int found;

    if (!pkey) {
        at = bytes;
        pkey = d2i_AutoPrivateKey(NULL, &at, (long)len);
    }
    if (!pkey) {
        at = bytes;
        x509 = d2i_X509(NULL, &at, (long)len);
    }
    found = pkey || x509;
    EVP_PKEY_free(pkey);
    X509_free(x509);
    ERR_clear_error();
    return found;
}

/* As Keycloak shows a realm's key: PEM without its first and last line. */
static int is_base64_key(apr_pool_t *p, const char *text, apr_size_t len)
{
    char *packed = apr_palloc(p, len + 1), *to = packed;
    unsigned char *bytes = apr_palloc(p, len + 1);
    apr_size_t n = 0, i;
    int found;

    for (i = 0; i < len; i++) {
        if (!strchr(" \t\r\n", text[i])) {
            *to++ = text[i];
        }
    }
    found = apr_decode_base64_binary(bytes, packed, (apr_ssize_t)(to - packed), APR_ENCODE_NONE, &n) == APR_SUCCESS && is_der_key(bytes, n);
    OPENSSL_cleanse(packed, len + 1);
    OPENSSL_cleanse(bytes, len + 1);
    return found;
}

/* A key as others write it, but for PEM. Everybody may know a public one: taken for a secret it would let everybody make tokens. */
static int is_key(apr_pool_t *p, const char *bytes, apr_size_t len)
{
    static const char *const beginnings[] = {"ssh-", "ecdsa-sha2-", "---- BEGIN "};
    json_t *json = json_loadb(bytes, len, 0, NULL);
    int found = json_is_object(json) || is_der_key((const unsigned char *)bytes, len) || is_base64_key(p, bytes, len);
    apr_size_t i;

    json_decref(json);
    for (i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        found |= len > strlen(beginnings[i]) && !memcmp(bytes, beginnings[i], strlen(beginnings[i]));
    }
    return found;
}

const char *aigw_jws_secret(apr_pool_t *p, const char *bytes, apr_size_t len, aigw_jws_key_t *key)
{
    memset(key, 0, sizeof *key);
    if (is_key(p, bytes, len)) {
        return "it is no secret but a key or a certificate, which others may know: write it in PEM, with its BEGIN and END lines, and the "
               "path "
               "of a JWKS behind jwks:";
    }
    if (len < 32) {
        return "a secret has at least 32 bytes (RFC 7518, section 3.2): make one with 'openssl rand -base64 48'";
    }
    key->material = apr_pstrmemdup(p, bytes, len);
    key->len = len;
    key->algs = AIGW_JWS_HS256 | (len >= 48 ? AIGW_JWS_HS384 : 0) | (len >= 64 ? AIGW_JWS_HS512 : 0);
    return NULL;
}

int aigw_jws_is_pem(const char *text, apr_size_t len)
{
    static const char begin[] = "-----BEGIN ";

    for (; len >= sizeof begin - 1; text++, len--) {
        if (!memcmp(text, begin, sizeof begin - 1)) {
            return 1;
        }
    }
    return 0;
}

/* Never asks on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *dummy)
{
    return -1;
}

static EVP_PKEY *read_pubkey(BIO *bio)
{
    return PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
}

static EVP_PKEY *read_private(BIO *bio)
{
    return PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
}

static EVP_PKEY *read_certificate(BIO *bio)
{
    X509 *x509 = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    EVP_PKEY *pkey = x509 ? X509_get_pubkey(x509) : NULL;

    X509_free(x509);
    return pkey;
}

static EVP_PKEY *read_pem(const char *pem, apr_size_t len, EVP_PKEY *(*read)(BIO *))
{
    BIO *bio = len < APR_INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *pkey = bio ? read(bio) : NULL;

    BIO_free(bio);
    ERR_clear_error(); /* httpd's mod_ssl has this thread's queue too */
    return pkey;
}

static const char *judge_ec(EVP_PKEY *pkey, unsigned *algs)
{
    char curve[64] = "";

    EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL);
    *algs = !strcmp(curve, "prime256v1")  ? AIGW_JWS_ES256
            : !strcmp(curve, "secp384r1") ? AIGW_JWS_ES384
            : !strcmp(curve, "secp521r1") ? AIGW_JWS_ES512
                                          : 0;
    return *algs ? NULL : "the curve of an EC key is P-256, P-384 or P-521";
}

/* What a public or private key may be used for; and a public key that is no point of its curve is refused. */
static const char *judge(EVP_PKEY *pkey, unsigned *algs)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    const char *fault = NULL;

    *algs = 0;
    if (!ctx || EVP_PKEY_public_check(ctx) != 1) {
        fault = "the key is not valid";
    }
    else if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA) {
        *algs = AIGW_JWS_RS;
        fault = EVP_PKEY_get_bits(pkey) < AIGW_JWS_RSA_BITS ? "an RSA key has at least 2048 bits (RFC 7518, section 3.3)" : NULL;
    }
    else if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC) {
        fault = judge_ec(pkey, algs);
    }
    else {
        fault = "the key is neither RSA nor EC";
    }
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    if (fault) {
        *algs = 0;
    }
    return fault;
}

static const char *take(apr_pool_t *p, EVP_PKEY *pkey, int private, aigw_jws_key_t *key)
{
    const char *fault = judge(pkey, &key->algs);
    BIO *bio = fault ? NULL : BIO_new(private ? BIO_s_secmem() : BIO_s_mem());
    char *pem;
    long n;

    if (bio && (private ? PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(bio, pkey)) == 1 &&
        (n = BIO_get_mem_data(bio, &pem)) > 0) {
        key->material = apr_pstrmemdup(p, pem, (apr_size_t)n);
        key->len = (apr_size_t)n;
    }
    else if (!fault) {
        fault = "OpenSSL cannot write the key";
    }
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return fault;
}

const char *aigw_jws_public(apr_pool_t *p, const char *pem, apr_size_t len, aigw_jws_key_t *key)
{
    EVP_PKEY *pkey = read_pem(pem, len, read_pubkey);

    memset(key, 0, sizeof *key);
    if (!pkey) {
        pkey = read_pem(pem, len, read_certificate);
    }
    if (!pkey) {
        pkey = read_pem(pem, len, read_private);
    }
    return pkey ? take(p, pkey, 0, key) : "it is no public key, certificate or private key in PEM";
}

const char *aigw_jws_private(apr_pool_t *p, const char *pem, apr_size_t len, aigw_jws_key_t *key)
{
    EVP_PKEY *pkey = read_pem(pem, len, read_private);

    memset(key, 0, sizeof *key);
    return pkey ? take(p, pkey, 1, key) : "it is no private key in PEM without a passphrase";
}

/* ------------------------------------------------------------------ signatures */

/* In constant time, and before libjwt does: older ones use strcmp() (CVE-2024-25189), which a distribution may or may not have mended. 1 also for what is signed with no secret. */
static int is_mac_good(const char *token, unsigned alg, const aigw_jws_key_t *key)
{
    const EVP_MD *md = alg == AIGW_JWS_HS256 ? EVP_sha256() : alg == AIGW_JWS_HS384 ? EVP_sha384() : EVP_sha512();
    const char *dot = strrchr(token, '.');
    unsigned char mac[EVP_MAX_MD_SIZE];
    char text[(EVP_MAX_MD_SIZE + 2) / 3 * 4 + 1];
    unsigned n = 0;
    apr_size_t len;

    if (!(alg & AIGW_JWS_HS)) {
        return 1;
    }
    if (!dot || !HMAC(md, key->material, (int)key->len, (const unsigned char *)token, (size_t)(dot - token), mac, &n) ||
        apr_encode_base64_binary(text, mac, (apr_ssize_t)n, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL) != APR_SUCCESS) {
        return 0;
    }
    len = strlen(text);
    return strlen(dot + 1) == len && !CRYPTO_memcmp(dot + 1, text, len);
}

int aigw_jws_verify(const char *token, unsigned alg, const aigw_jws_key_t *key)
{
    const char *dot = strrchr(token, '.');
    jwt_t *jwt = NULL;
    int good;

    if (!dot || !dot[1]) { /* aigw_jwt_parse() lets none in; libjwt writes a byte beyond the block that it makes for nothing */
        return 0;
    }
    if (!(alg & key->algs) || (alg & (alg - 1)) || !is_mac_good(token, alg, key) ||
        jwt_decode(&jwt, token, (const unsigned char *)key->material, (int)key->len)) {
        jwt_free(jwt);
        ERR_clear_error();
        return 0;
    }
    good = jwt_get_alg(jwt) == libjwt_alg(alg);
    jwt_free(jwt);
    return good;
}

char *aigw_jws_sign(apr_pool_t *p, const json_t *claims, unsigned alg, const aigw_jws_key_t *key)
{
    char *json = json_dumps(claims, JSON_COMPACT), *text = NULL, *token = NULL;
    jwt_t *jwt = NULL;

    if ((alg & key->algs) && !(alg & (alg - 1)) && json && !jwt_new(&jwt) && !jwt_add_grants_json(jwt, json) &&
        (!key->kid || !jwt_add_header(jwt, "kid", key->kid)) &&
        !jwt_set_alg(jwt, libjwt_alg(alg), (const unsigned char *)key->material, (int)key->len) && (text = jwt_encode_str(jwt)) != NULL) {
        token = apr_pstrdup(p, text);
        OPENSSL_cleanse(text, strlen(text));
    }
    free(text);
    free(json);
    jwt_free(jwt);
    ERR_clear_error();
    return token;
}
