/* aigw_jwks, with the keys and the tokens of RFC 7515 (appendix A) and RFC 7517 (appendix A) */
#include "suites.h"
#include "aigw_jwks.h"

#include <apr_encode.h>
#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <stdlib.h>
#include <string.h>

#define PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

#define A1_K     "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define A1_TOKEN "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define A2_N                                                                                                                               \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b" \
    "32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5" \
    "IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define A2_TOKEN                                                                                                                           \
    "eyJhbGciOiJSUzI1NiJ9." PAYLOAD ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"               \
    "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAyn"                                                                                      \
    "RFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv" \
    "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define A3_X     "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define A3_Y     "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define A3_TOKEN "eyJhbGciOiJFUzI1NiJ9." PAYLOAD ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

#define RSA "\"kty\":\"RSA\",\"n\":\"" A2_N "\",\"e\":\"AQAB\""
#define EC  "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\"" A3_Y "\""
#define OCT "\"kty\":\"oct\",\"k\":\"" A1_K "\""

/* RFC 7517, appendix A.1 */
#define SET_7517                                                                                                                           \
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","                                  \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"use\":\"enc\",\"kid\":\"1\"},"                                                \
    "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"                     \
    "BJECPebWKRXjBZCiFV4n3"                                                                                                                \
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"                                                                  \
    "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpb"                                                                  \
    "ISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\","               \
    "\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}]}"

static apr_pool_t *pool;
static aigw_jwks_t set;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

/* From a block of exactly this length that is overwritten afterwards. */
static const char *read_set(const char *text, aigw_jwks_from_e from)
{
    apr_size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    const char *fault;

    memcpy(exact, text, n);
    fault = aigw_jwks_read(pool, exact, n, from, &set);
    memset(exact, 'Z', n);
    free(exact);
    return fault;
}

/* A set of one key, of these members. "2": it is used; "1": only from a file; "0": never. */
static char used(const char *members)
{
    const char *text = apr_pstrcat(pool, "{\"keys\":[{", members, "}]}", NULL);
    const char *fault = read_set(text, AIGW_JWKS_FETCHED);
    int fetched = !fault;

    ck_assert_int_eq(set.skipped, fault ? 1 : 0);
    ck_assert(fault ? strstr(fault, "none of its 1 keys") != NULL : set.keys->nelts == 1);
    fault = read_set(text, AIGW_JWKS_FILE);
    ck_assert(!fault || !fetched);
    return fetched ? '2' : fault ? '0' : '1';
}

static const aigw_jws_key_t *only(void)
{
    ck_assert_int_eq(set.keys->nelts, 1);
    return &APR_ARRAY_IDX(set.keys, 0, aigw_jws_key_t);
}

START_TEST(the_keys_of_rfc_7515_verify_its_tokens)
{
    ck_assert_int_eq(used(RSA), '2');
    ck_assert_uint_eq(only()->algs, AIGW_JWS_RS);
    ck_assert_ptr_null(only()->kid);
    ck_assert_int_eq(aigw_jws_verify(A2_TOKEN, AIGW_JWS_RS256, only()), 1);
    ck_assert_int_eq(aigw_jws_verify(A3_TOKEN, AIGW_JWS_ES256, only()), 0);
    ck_assert_int_eq(used(EC), '2');
    ck_assert_uint_eq(only()->algs, AIGW_JWS_ES256);
    ck_assert_int_eq(aigw_jws_verify(A3_TOKEN, AIGW_JWS_ES256, only()), 1);
    ck_assert_int_eq(aigw_jws_verify(A2_TOKEN, AIGW_JWS_RS256, only()), 0);
    ck_assert_int_eq(used(OCT), '1');
    ck_assert_uint_eq(only()->algs, AIGW_JWS_HS);
    ck_assert_int_eq(aigw_jws_verify(A1_TOKEN, AIGW_JWS_HS256, only()), 1);
}
END_TEST

START_TEST(the_set_of_rfc_7517)
{
    ck_assert_ptr_null(read_set(SET_7517, AIGW_JWKS_FETCHED));
    ck_assert_str_eq(only()->kid, "2011-04-29");
    ck_assert_uint_eq(only()->algs, AIGW_JWS_RS256);
    ck_assert_int_eq(set.skipped, 1); /* for encryption */
}
END_TEST

static const char *ec(const char *crv, const char *x, const char *y)
{
    return apr_psprintf(pool, "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"", crv, x, y);
}

START_TEST(curves)
{
    static const struct {
        const char *name;
        unsigned alg;
        int len;
    } rows[] = {{"P-256", AIGW_JWS_ES256, 32}, {"P-384", AIGW_JWS_ES384, 48}, {"P-521", AIGW_JWS_ES512, 66}};
    unsigned char point[1 + 2 * 66];
    size_t i, n;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        EVP_PKEY *pkey = EVP_EC_gen(rows[i].name);
        const char *x, *y;

        ck_assert_int_eq(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
        ck_assert_uint_eq(n, (size_t)(1 + 2 * rows[i].len));
        x = apr_pencode_base64_binary(pool, point + 1, rows[i].len, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
        y = apr_pencode_base64_binary(pool, point + 1 + rows[i].len, rows[i].len, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
        ck_assert_int_eq(used(ec(rows[i].name, x, y)), '2');
        ck_assert_uint_eq(only()->algs, rows[i].alg);
        ck_assert_int_eq(used(ec(rows[(i + 1) % 3].name, x, y)), '0');
        ck_assert_int_eq(used(ec(rows[i].name, y, x)), '0');
        ck_assert_int_eq(used(ec(rows[i].name, x, x)), '0');
        EVP_PKEY_free(pkey);
    }
}
END_TEST

static const char *modulus_of(unsigned bits)
{
    unsigned char bytes[1024];
    EVP_PKEY *pkey = EVP_RSA_gen(bits);
    BIGNUM *n = NULL;
    const char *text;

    ck_assert_int_eq(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    text = apr_pencode_base64_binary(pool, bytes, BN_bn2bin(n, bytes), APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
    BN_free(n);
    EVP_PKEY_free(pkey);
    return text;
}

static const char *rsa(const char *n, const char *e)
{
    return apr_psprintf(pool, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", n, e);
}

START_TEST(weak_rsa)
{
    const char *n = modulus_of(2048);
    char *long_n = apr_palloc(pool, 4001);

    memset(long_n, 'v', 4000);
    long_n[4000] = '\0';
    ck_assert_int_eq(used(rsa(n, "AQAB")), '2');
    ck_assert_int_eq(used(rsa(n, "Aw")), '2'); /* 3 */
    ck_assert_int_eq(used(rsa(n, "AQ")), '0'); /* 1: any text is its own signature */
    ck_assert_int_eq(used(rsa(n, "Ag")), '0'); /* even */
    ck_assert_int_eq(used(rsa(n, "AA")), '0'); /* 0 */
    ck_assert_int_eq(used(rsa(n, "")), '0');
    ck_assert_int_eq(used(rsa(n, "AQAAAAAAAAAAAAAB")), '0'); /* of 12 bytes */
    ck_assert_int_eq(used(rsa("", "AQAB")), '0');
    ck_assert_int_eq(used(rsa(long_n, "AQAB")), '0');
    ck_assert_int_eq(used(rsa(modulus_of(1024), "AQAB")), '0');
    ck_assert_int_eq(used(rsa(modulus_of(2040), "AQAB")), '0');
}
END_TEST

START_TEST(members)
{
    static const struct {
        char used;
        const char *members;
    } rows[] = {
        {'2', EC ",\"use\":\"sig\""},
        {'0', EC ",\"use\":\"enc\""},
        {'0', EC ",\"use\":7"},
        {'2', EC ",\"key_ops\":[\"verify\"]"},
        {'2', EC ",\"key_ops\":[1,\"sign\",\"verify\"]"},
        {'0', EC ",\"key_ops\":[\"sign\"]"},
        {'0', EC ",\"key_ops\":[]"},
        {'0', EC ",\"key_ops\":\"verify\""},
        {'2', EC ",\"alg\":\"ES256\""},
        {'0', EC ",\"alg\":\"ES384\""},
        {'0', EC ",\"alg\":\"RS256\""},
        {'0', EC ",\"alg\":\"HS256\""},
        {'0', EC ",\"alg\":\"none\""},
        {'0', EC ",\"alg\":null"},
        {'0', RSA ",\"alg\":\"RSA-OAEP\""},
        {'0', RSA ",\"alg\":\"PS256\""},
        {'2', RSA ",\"alg\":\"RS512\""},
        {'2', EC ",\"kid\":\"\""},
        {'0', EC ",\"kid\":7"},
        {'0', EC ",\"kid\":null"},
        {'2', EC ",\"x5c\":[7],\"x5t\":null,\"x5u\":\"http://localhost/\",\"other\":{}"},
        {'1', EC ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\""}, /* whoever has seen it can sign */
        {'1', RSA ",\"d\":\"AQAB\""},
        {'0', "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""},
        {'0', "\"kty\":\"ec\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\"" A3_Y "\""},
        {'0', "\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" A3_X "\",\"y\":\"" A3_Y "\""},
        {'0', "\"kty\":\"EC\",\"crv\":7,\"x\":\"" A3_X "\",\"y\":\"" A3_Y "\""},
        {'0', "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\""},
        {'0', "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "=\",\"y\":\"" A3_Y "\""},
        {'0', "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" A3_X "\",\"y\":\"y_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""},
        {'0', "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
              "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
        {'0', "\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\""},
        {'0', "\"kty\":7"},
        {'0', "\"kid\":\"1\""},
        {'1', OCT ",\"alg\":\"HS512\",\"kid\":\"s\""},
        {'0', OCT ",\"alg\":\"RS256\""},
        {'0', "\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},  /* 31 bytes */
        {'1', "\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""}, /* 32 */
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char found = used(rows[i].members);

        ck_assert_msg(found == rows[i].used, "%c: %s", found, rows[i].members);
    }
}
END_TEST

START_TEST(sets)
{
    static const struct {
        const char *text, *fault;
    } rows[] = {
        {"", "no JSON"},
        {"{\"keys\":[{" EC "}]", "no JSON"},
        {"{\"keys\":[{" EC "}]} x", "no JSON"},
        {"{\"keys\":[{" EC ",\"kty\":\"EC\"}]}", "a name twice"},
        {"{\"keys\":[{" EC "}],\"keys\":[]}", "a name twice"},
        {"[{" EC "}]", "no array \"keys\""},
        {"{" EC "}", "no array \"keys\""},
        {"7", "no JSON"},
        {"{\"keys\":{}}", "no array \"keys\""},
        {"{\"keys\":[]}", "no keys"},
        {"{\"keys\":[7,null,[]]}", "none of its 3 keys"},
        {"{\"keys\":[{" EC "},7,{" RSA "}],\"more\":true}", NULL},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *fault = read_set(rows[i].text, AIGW_JWKS_FETCHED);

        ck_assert_msg(rows[i].fault ? fault && strstr(fault, rows[i].fault) : !fault, "%s: %s", rows[i].text, fault ? fault : "-");
    }
    ck_assert_int_eq(set.keys->nelts, 2);
    ck_assert_int_eq(set.skipped, 1);
}
END_TEST

START_TEST(how_much_it_may_be)
{
    char *text = apr_pstrcat(pool, "{\"keys\":[{" EC "}", NULL), *large = malloc(AIGW_JWKS_BYTES_MAX + 1);
    int i;

    for (i = 1; i < AIGW_JWKS_KEYS_MAX; i++) {
        text = apr_pstrcat(pool, text, ",7", NULL);
    }
    ck_assert_ptr_null(read_set(apr_pstrcat(pool, text, "]}", NULL), AIGW_JWKS_FETCHED));
    ck_assert_str_eq(read_set(apr_pstrcat(pool, text, ",7]}", NULL), AIGW_JWKS_FETCHED), "it has more than 100 keys");
    text = apr_pstrcat(pool, text, "]}", NULL);
    memset(large, ' ', AIGW_JWKS_BYTES_MAX + 1);
    memcpy(large, text, strlen(text));
    ck_assert_ptr_null(aigw_jwks_read(pool, large, AIGW_JWKS_BYTES_MAX, AIGW_JWKS_FETCHED, &set));
    ck_assert_str_eq(aigw_jwks_read(pool, large, AIGW_JWKS_BYTES_MAX + 1, AIGW_JWKS_FETCHED, &set), "it is larger than 256 KiB");
    free(large);
}
END_TEST

START_TEST(looking_up)
{
    const aigw_jws_key_t *found[4], *keys;
    aigw_jws_key_t copies[4];
    apr_pool_t *p;

    ck_assert_ptr_null(read_set("{\"keys\":[{" EC "},{" RSA ",\"kid\":\"a\"},{" EC ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\"},{" RSA
                                ",\"kid\":\"c\",\"alg\":\"RS512\"}]}",
                                AIGW_JWKS_FETCHED));
    keys = (const aigw_jws_key_t *)set.keys->elts;
    ck_assert_int_eq(set.keys->nelts, 5);
    /* of that kid first, then those of none */
    ck_assert_int_eq(aigw_jwks_find(&set, "a", AIGW_JWS_ES256, found, 4), 2);
    ck_assert(found[0] == &keys[2] && found[1] == &keys[0]);
    ck_assert_int_eq(aigw_jwks_find(&set, "a", AIGW_JWS_ES256, found, 1), 1);
    ck_assert(found[0] == &keys[2]);
    ck_assert_int_eq(aigw_jwks_find(&set, "a", AIGW_JWS_RS256, found, 4), 1);
    ck_assert(found[0] == &keys[1]);
    ck_assert_int_eq(aigw_jwks_find(&set, "z", AIGW_JWS_ES256, found, 4), 1);
    ck_assert(found[0] == &keys[0]);
    ck_assert_int_eq(aigw_jwks_find(&set, "z", AIGW_JWS_RS256, found, 4), 0);
    ck_assert_int_eq(aigw_jwks_find(&set, "c", AIGW_JWS_RS256, found, 4), 0);
    ck_assert_int_eq(aigw_jwks_find(&set, "c", AIGW_JWS_RS512, found, 4), 1);
    /* no kid in the token: all of the kind */
    ck_assert_int_eq(aigw_jwks_find(&set, NULL, AIGW_JWS_ES256, found, 4), 3);
    ck_assert_int_eq(aigw_jwks_find(&set, NULL, AIGW_JWS_HS256, found, 4), 0);
    ck_assert_int_eq(aigw_jwks_find(&set, NULL, AIGW_JWS_ES256, found, 0), 0);
    ck_assert_int_eq(aigw_jwks_knows(&set, "c"), 1);
    ck_assert_int_eq(aigw_jwks_knows(&set, "z"), 0);
    ck_assert_int_eq(aigw_jwks_knows(&set, ""), 0);
    ck_assert_int_eq(aigw_jwks_knows(&set, NULL), 0);
    /* copies outlive the set */
    apr_pool_create(&p, NULL);
    ck_assert_int_eq(aigw_jwks_copy(p, &set, "a", AIGW_JWS_ES256, copies, 4), 2);
    drop_pool();
    make_pool();
    ck_assert_str_eq(copies[0].kid, "a");
    ck_assert_ptr_null(copies[1].kid);
    ck_assert_int_eq(aigw_jws_verify(A3_TOKEN, AIGW_JWS_ES256, &copies[0]), 1);
    apr_pool_destroy(p);
}
END_TEST

Suite *suite_jwks(void)
{
    Suite *suite = suite_create("jwks");
    TCase *tc = tcase_create("jwks");

    tcase_add_checked_fixture(tc, make_pool, drop_pool);
    tcase_add_test(tc, the_keys_of_rfc_7515_verify_its_tokens);
    tcase_add_test(tc, the_set_of_rfc_7517);
    tcase_add_test(tc, curves);
    tcase_add_test(tc, weak_rsa);
    tcase_add_test(tc, members);
    tcase_add_test(tc, sets);
    tcase_add_test(tc, how_much_it_may_be);
    tcase_add_test(tc, looking_up);
    suite_add_tcase(suite, tc);
    return suite;
}
