/* aigw_jws */
#include "suites.h"
#include "aigw_jws.h"
#include "aigw_jwt.h"

#include <apr_encode.h>
#include <apr_strings.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <string.h>

static apr_pool_t *pool;
static const char secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* Keys are made once: RSA takes a while. */
static struct pair {
    const char *name;
    aigw_jws_key_t private, public;
    char *private_pem, *public_pem;
    apr_size_t private_len, public_len;
} pairs[4];

static char *pem_of(EVP_PKEY *pkey, int private, apr_size_t *len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *copy;

    ck_assert_int_eq(private ? PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(bio, pkey), 1);
    *len = (apr_size_t)BIO_get_mem_data(bio, &data);
    copy = apr_pstrmemdup(pool, data, *len);
    BIO_free(bio);
    return copy;
}

static void make_pair(struct pair *pair, const char *name, EVP_PKEY *pkey)
{
    ck_assert(pkey != NULL);
    pair->name = name;
    pair->private_pem = pem_of(pkey, 1, &pair->private_len);
    pair->public_pem = pem_of(pkey, 0, &pair->public_len);
    EVP_PKEY_free(pkey);
    ck_assert_ptr_null(aigw_jws_private(pool, pair->private_pem, pair->private_len, &pair->private));
    ck_assert_ptr_null(aigw_jws_public(pool, pair->public_pem, pair->public_len, &pair->public));
}

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    make_pair(&pairs[0], "RSA", EVP_RSA_gen(2048));
    make_pair(&pairs[1], "P-256", EVP_EC_gen("P-256"));
    make_pair(&pairs[2], "P-384", EVP_EC_gen("P-384"));
    make_pair(&pairs[3], "P-521", EVP_EC_gen("P-521"));
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static aigw_jws_key_t secret_key(void)
{
    aigw_jws_key_t key;

    ck_assert_ptr_null(aigw_jws_secret(pool, secret, 64, &key));
    return key;
}

static char *token_of(unsigned alg, const aigw_jws_key_t *key)
{
    json_t *claims = json_pack("{s:s, s:I}", "sub", "alice", "exp", (json_int_t)2000000000);
    char *token = aigw_jws_sign(pool, claims, alg, key);

    json_decref(claims);
    return token;
}

static const struct row {
    unsigned alg;
    int pair; /* -1: the secret */
} rows[] = {{AIGW_JWS_HS256, -1}, {AIGW_JWS_HS384, -1}, {AIGW_JWS_HS512, -1}, {AIGW_JWS_RS256, 0}, {AIGW_JWS_RS384, 0},
            {AIGW_JWS_RS512, 0},  {AIGW_JWS_ES256, 1},  {AIGW_JWS_ES384, 2},  {AIGW_JWS_ES512, 3}};

#define ROWS ((int)(sizeof rows / sizeof *rows))

static aigw_jws_key_t key_of(const struct row *row, int private)
{
    return row->pair < 0 ? secret_key() : private ? pairs[row->pair].private : pairs[row->pair].public;
}

/* Whoever wrote it meant a public key: as a secret everybody would know it. */
START_TEST(a_key_in_another_form_is_no_secret)
{
    static const char *const forms[] = {
        "{\"kty\":\"RSA\",\"n\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDT a@b",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2E\n"};
    aigw_jws_key_t key;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(pkey, &der);
    apr_size_t i;

    ck_assert_int_gt(n, 32);
    ck_assert_ptr_nonnull(aigw_jws_secret(pool, (const char *)der, (apr_size_t)n, &key));
    ck_assert_uint_eq(key.algs, 0);
    ck_assert_ptr_nonnull(aigw_jws_secret(pool, apr_pencode_base64_binary(pool, der, n, APR_ENCODE_NONE, NULL), 124, &key));
    ck_assert_uint_eq(key.algs, 0);
    for (i = 0; i < sizeof forms / sizeof *forms; i++) {
        ck_assert_ptr_nonnull(aigw_jws_secret(pool, forms[i], strlen(forms[i]), &key));
        ck_assert_uint_eq(key.algs, 0);
    }
    ck_assert_ptr_null(aigw_jws_secret(pool, "\x30\x82\x01\x22 not a key at all, but 32 bytes", 36, &key));
    ck_assert_ptr_null(aigw_jws_secret(pool, "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA", 44, &key));
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
}
END_TEST

START_TEST(names_of_algorithms)
{
    ck_assert_uint_eq(aigw_jws_alg("RS256"), AIGW_JWS_RS256);
    ck_assert_str_eq(aigw_jws_alg_name(AIGW_JWS_ES512), "ES512");
    ck_assert_uint_eq(aigw_jws_alg("none"), 0);
    ck_assert_uint_eq(aigw_jws_alg("rs256"), 0);
    ck_assert_uint_eq(aigw_jws_alg("PS256"), 0);
    ck_assert_uint_eq(aigw_jws_alg("EdDSA"), 0);
    ck_assert_uint_eq(aigw_jws_alg("RS256 "), 0);
    ck_assert_uint_eq(aigw_jws_alg(""), 0);
    ck_assert_str_eq(aigw_jws_alg_name(0), "none");
    ck_assert_str_eq(aigw_jws_alg_name(AIGW_JWS_HS), "none");
}
END_TEST

START_TEST(every_algorithm_signs_and_verifies)
{
    const struct row *row = &rows[_i];
    const aigw_jws_key_t private = key_of(row, 1), public = key_of(row, 0);
    const char *token = token_of(row->alg, &private);
    aigw_jwt_t jwt;

    ck_assert_ptr_nonnull(token);
    ck_assert_ptr_null(aigw_jwt_parse(pool, token, strlen(token), &jwt));
    ck_assert_uint_eq(jwt.alg, row->alg);
    ck_assert_int_eq(aigw_jws_verify(token, row->alg, &public), 1);
}
END_TEST

/* Every character of a MAC counts, the first as the last. */
START_TEST(every_character_of_a_mac_counts)
{
    const struct row *row = &rows[_i];
    const aigw_jws_key_t key = secret_key();
    char *token = token_of(row->alg, &key), *at;

    for (at = strrchr(token, '.') + 1; *at; at++) {
        char was = *at;

        *at = was == 'A' ? 'E' : 'A'; /* also as the last one: no stray bits */
        ck_assert_int_eq(aigw_jws_verify(token, row->alg, &key), 0);
        *at = '\0';
        ck_assert_int_eq(aigw_jws_verify(token, row->alg, &key), 0);
        *at = was;
    }
    ck_assert_int_eq(aigw_jws_verify(token, row->alg, &key), 1);
    ck_assert_int_eq(aigw_jws_verify(apr_pstrcat(pool, token, "A", NULL), row->alg, &key), 0);
    ck_assert_int_eq(aigw_jws_verify("x", row->alg, &key), 0);
}
END_TEST

/* Any other algorithm, any other key, any other text: no. */
START_TEST(nothing_else_verifies)
{
    const struct row *row = &rows[_i];
    const aigw_jws_key_t private = key_of(row, 1), public = key_of(row, 0);
    char *token = token_of(row->alg, &private);
    int i;

    for (i = 0; i < ROWS; i++) {
        aigw_jws_key_t other = key_of(&rows[i], 0);

        if (rows[i].alg != row->alg) {
            ck_assert_int_eq(aigw_jws_verify(token, rows[i].alg, &public), 0);
            ck_assert_int_eq(aigw_jws_verify(token, rows[i].alg, &other), 0);
        }
        if (rows[i].pair != row->pair) {
            ck_assert_int_eq(aigw_jws_verify(token, row->alg, &other), 0);
        }
    }
    ck_assert_int_eq(aigw_jws_verify(token, AIGW_JWS_ALL, &public), 0);
    ck_assert_int_eq(aigw_jws_verify(token, 0, &public), 0);
    for (i = 0; token[i]; i++) { /* one character at a time */
        const char was = token[i];
        aigw_jwt_t jwt;

        token[i] = was == 'A' ? 'B' : 'A';
        if (was != '.' && !aigw_jwt_parse(pool, token, strlen(token), &jwt)) {
            ck_assert_int_eq(aigw_jws_verify(token, row->alg, &public), 0);
        }
        token[i] = was;
    }
}
END_TEST

/* A signature that is cut, lengthened, empty, all zeros, or r and s exchanged. */
START_TEST(broken_signatures)
{
    const struct row *row = &rows[_i];
    const aigw_jws_key_t private = key_of(row, 1), public = key_of(row, 0);
    const char *token = token_of(row->alg, &private), *sig = strrchr(token, '.') + 1, *head = apr_pstrmemdup(pool, token, sig - token);
    unsigned char bytes[1024], swapped[1024];
    apr_size_t n;

    ck_assert_int_eq(apr_decode_base64_binary(bytes, sig, APR_ENCODE_STRING, 0, &n), APR_SUCCESS);
#define WITH(data, len)                                                                                                                    \
    apr_pstrcat(pool, head, apr_pencode_base64_binary(pool, data, (apr_ssize_t)(len), APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL), NULL)
    ck_assert_int_eq(aigw_jws_verify(WITH(bytes, n), row->alg, &public), 1);
    ck_assert_int_eq(aigw_jws_verify(head, row->alg, &public), 0);
    ck_assert_int_eq(aigw_jws_verify(WITH(bytes, n - 1), row->alg, &public), 0);
    ck_assert_int_eq(aigw_jws_verify(WITH(bytes, n / 2), row->alg, &public), 0);
    bytes[n] = 0;
    ck_assert_int_eq(aigw_jws_verify(WITH(bytes, n + 1), row->alg, &public), 0);
    memset(swapped, 0, sizeof swapped);
    ck_assert_int_eq(aigw_jws_verify(WITH(swapped, n), row->alg, &public), 0);
    memcpy(swapped, bytes + n / 2, n / 2);
    memcpy(swapped + n / 2, bytes, n / 2);
    ck_assert_int_eq(aigw_jws_verify(WITH(swapped, n), row->alg, &public), 0);
}
END_TEST

/* The classic: an RSA or EC public key, known to everybody, as the secret of HMAC. */
START_TEST(a_public_key_is_no_secret)
{
    struct pair *pair = &pairs[_i];
    aigw_jws_key_t forged = {NULL, AIGW_JWS_HS, pair->public_pem, pair->public_len};
    const unsigned algs[] = {AIGW_JWS_HS256, AIGW_JWS_HS384, AIGW_JWS_HS512};
    apr_size_t i;

    for (i = 0; i < 3; i++) {
        const char *token = token_of(algs[i], &forged);

        ck_assert_ptr_nonnull(token);
        ck_assert_int_eq(aigw_jws_verify(token, algs[i], &forged), 1); /* it is well made */
        ck_assert_int_eq(aigw_jws_verify(token, algs[i], &pair->public), 0);
        ck_assert_int_eq(aigw_jws_verify(token, AIGW_JWS_RS256, &pair->public), 0);
        ck_assert_int_eq(aigw_jws_verify(token, AIGW_JWS_ES256, &pair->public), 0);
    }
}
END_TEST

START_TEST(keys_know_what_they_may_do)
{
    aigw_jws_key_t key;

    ck_assert_uint_eq(pairs[0].public.algs, AIGW_JWS_RS);
    ck_assert_uint_eq(pairs[1].public.algs, AIGW_JWS_ES256);
    ck_assert_uint_eq(pairs[2].public.algs, AIGW_JWS_ES384);
    ck_assert_uint_eq(pairs[3].public.algs, AIGW_JWS_ES512);
    ck_assert_ptr_null(aigw_jws_secret(pool, secret, 32, &key));
    ck_assert_uint_eq(key.algs, AIGW_JWS_HS256);
    ck_assert_ptr_null(aigw_jws_secret(pool, secret, 48, &key));
    ck_assert_uint_eq(key.algs, AIGW_JWS_HS256 | AIGW_JWS_HS384);
    ck_assert_uint_eq(secret_key().algs, AIGW_JWS_HS);
    ck_assert_ptr_nonnull(aigw_jws_secret(pool, secret, 31, &key));
    ck_assert_uint_eq(key.algs, 0);
    ck_assert_ptr_nonnull(aigw_jws_secret(pool, "", 0, &key));
}
END_TEST

START_TEST(pem_is_known)
{
    ck_assert_int_eq(aigw_jws_is_pem(pairs[0].public_pem, pairs[0].public_len), 1);
    ck_assert_int_eq(aigw_jws_is_pem("# mine\n-----BEGIN PUBLIC KEY-----\n", 34), 1);
    ck_assert_int_eq(aigw_jws_is_pem(secret, 64), 0);
    ck_assert_int_eq(aigw_jws_is_pem("-----BEGIN", 10), 0);
    ck_assert_int_eq(aigw_jws_is_pem("", 0), 0);
}
END_TEST

START_TEST(weak_and_wrong_keys)
{
    aigw_jws_key_t key;
    apr_size_t n;
    EVP_PKEY *pkey = EVP_RSA_gen(1024);
    char *pem = pem_of(pkey, 0, &n);

    ck_assert_ptr_nonnull(strstr(aigw_jws_public(pool, pem, n, &key), "2048"));
    ck_assert_uint_eq(key.algs, 0);
    EVP_PKEY_free(pkey);
    pkey = EVP_EC_gen("secp256k1");
    pem = pem_of(pkey, 0, &n);
    ck_assert_ptr_nonnull(strstr(aigw_jws_public(pool, pem, n, &key), "curve"));
    EVP_PKEY_free(pkey);
    pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    pem = pem_of(pkey, 0, &n);
    ck_assert_ptr_nonnull(aigw_jws_public(pool, pem, n, &key));
    EVP_PKEY_free(pkey);
    ck_assert_ptr_nonnull(aigw_jws_public(pool, secret, 64, &key));
    ck_assert_ptr_nonnull(aigw_jws_public(pool, "", 0, &key));
    ck_assert_ptr_nonnull(aigw_jws_private(pool, pairs[0].public_pem, pairs[0].public_len, &key));
    ck_assert_ptr_null(aigw_jws_public(pool, pairs[0].private_pem, pairs[0].private_len, &key)); /* its public half */
    ck_assert_ptr_null(strstr(key.material, "PRIVATE"));
    ck_assert_str_eq(key.material, pairs[0].public.material);
}
END_TEST

START_TEST(a_key_cannot_sign_what_it_is_not_for)
{
    const aigw_jws_key_t s = secret_key();

    ck_assert_ptr_null(token_of(AIGW_JWS_RS256, &s));
    ck_assert_ptr_null(token_of(AIGW_JWS_ES384, &pairs[1].private));
    ck_assert_ptr_null(token_of(AIGW_JWS_HS256, &pairs[0].private));
    ck_assert_ptr_null(token_of(AIGW_JWS_HS, &s));
    ck_assert_ptr_null(token_of(AIGW_JWS_RS256, &pairs[0].public));
}
END_TEST

START_TEST(kid_is_written)
{
    aigw_jws_key_t s = secret_key();
    const char *token;
    aigw_jwt_t jwt;

    s.kid = "2026-11";
    token = token_of(AIGW_JWS_HS256, &s);
    ck_assert_ptr_null(aigw_jwt_parse(pool, token, strlen(token), &jwt));
    ck_assert_str_eq(jwt.kid, "2026-11");
    ck_assert_int_eq(aigw_jws_verify(token, AIGW_JWS_HS256, &s), 1);
}
END_TEST

/* RFC 7515, appendix A.3: a token that others have signed. */
START_TEST(the_example_of_rfc_7515)
{
    static const char token[] =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                              "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
    aigw_jws_key_t key;

    ck_assert_ptr_null(aigw_jws_public(pool, pem, strlen(pem), &key));
    ck_assert_int_eq(aigw_jws_verify(token, AIGW_JWS_ES256, &key), 1);
    ck_assert_int_eq(aigw_jws_verify(token, AIGW_JWS_ES256, &pairs[1].public), 0);
}
END_TEST

Suite *suite_jws(void)
{
    Suite *suite = suite_create("jws");
    TCase *tc = tcase_create("jws");

    tcase_add_unchecked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, names_of_algorithms);
    tcase_add_test(tc, a_key_in_another_form_is_no_secret);
    tcase_add_loop_test(tc, every_algorithm_signs_and_verifies, 0, ROWS);
    tcase_add_loop_test(tc, every_character_of_a_mac_counts, 0, 3);
    tcase_add_loop_test(tc, nothing_else_verifies, 0, ROWS);
    tcase_add_loop_test(tc, broken_signatures, 0, ROWS);
    tcase_add_loop_test(tc, a_public_key_is_no_secret, 0, 4);
    tcase_add_test(tc, keys_know_what_they_may_do);
    tcase_add_test(tc, pem_is_known);
    tcase_add_test(tc, weak_and_wrong_keys);
    tcase_add_test(tc, a_key_cannot_sign_what_it_is_not_for);
    tcase_add_test(tc, kid_is_written);
    tcase_add_test(tc, the_example_of_rfc_7515);
    suite_add_tcase(suite, tc);
    return suite;
}
