/* aigw_api_key */
#include "suites.h"
#include "aigw_api_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(ids)
{
    char s[AIGW_API_KEY_ID_MAX + 2];
    int n;

    ck_assert_int_eq(aigw_api_key_id_valid(NULL), 0);
    ck_assert_int_eq(aigw_api_key_id_valid(""), 0);
    ck_assert_int_eq(aigw_api_key_id_valid("abcdefghijklmnopqrstuvwxyz0123456789.-"), 1);
    ck_assert_int_eq(aigw_api_key_id_valid("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 1);
    for (n = 1; n <= AIGW_API_KEY_ID_MAX + 1; n++) {
        memset(s, 'x', sizeof s);
        s[n] = '\0';
        ck_assert_int_eq(aigw_api_key_id_valid(s), n <= AIGW_API_KEY_ID_MAX);
    }
    s[AIGW_API_KEY_ID_MAX] = '_'; /* the character too many is not looked at as one */
    ck_assert_int_eq(aigw_api_key_id_valid(s), 0);
}
END_TEST

START_TEST(exactly_64_characters_are_allowed_in_each_place)
{
    int c, at, n = 0;

    for (at = 0; at < 3; at++) {
        for (c = 1; c < 256; c++) {
            char s[4] = "aaa";
            int good = c < 128 && (strchr(".-", c) != NULL || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));

            s[at] = (char)c;
            ck_assert_msg(aigw_api_key_id_valid(s) == good, "character %d in place %d", c, at);
            n += good;
        }
    }
    ck_assert_int_eq(n, 3 * 64);
}
END_TEST

START_TEST(a_key_is_its_id_and_32_bytes_in_base64url)
{
    unsigned char counted[AIGW_API_KEY_RANDOM], ones[AIGW_API_KEY_RANDOM], mixed[AIGW_API_KEY_RANDOM];
    static const unsigned char zeros[AIGW_API_KEY_RANDOM];
    apr_pool_t *p;
    int i;

    apr_pool_create(&p, NULL);
    for (i = 0; i < AIGW_API_KEY_RANDOM; i++) {
        counted[i] = (unsigned char)i;
        mixed[i] = (unsigned char)(i % 2 ? 0xef : 0xfb);
    }
    memset(ones, 0xff, sizeof ones);
    ck_assert_str_eq(aigw_api_key_format(p, "k1", zeros), "aigw_k1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    ck_assert_str_eq(aigw_api_key_format(p, "k1", ones), "aigw_k1___________________________________________8");
    ck_assert_str_eq(aigw_api_key_format(p, "a.b-C", counted), "aigw_a.b-C_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    /* both characters in which base64url differs from base64 */
    ck_assert_str_eq(aigw_api_key_format(p, "k1", mixed), "aigw_k1_--_77_vv--_77_vv--_77_vv--_77_vv--_77_vv--8");
    apr_pool_destroy(p);
}
END_TEST

static void digest_is(const char *key, apr_size_t len, const char *hex)
{
    unsigned char digest[AIGW_SHA256 + 1];
    char *exact = malloc(len ? len : 1), text[2 * AIGW_SHA256 + 1]; /* of this length, so that a sanitizer sees a read beyond */
    int i;

    memcpy(exact, key, len);
    digest[AIGW_SHA256] = 0xa5;
    ck_assert_int_eq(aigw_api_key_digest(exact, len, digest), APR_SUCCESS);
    free(exact);
    for (i = 0; i < AIGW_SHA256; i++) {
        sprintf(text + 2 * i, "%02x", digest[i]);
    }
    ck_assert_str_eq(text, hex);
    ck_assert_int_eq(digest[AIGW_SHA256], 0xa5);
}

/* FIPS 180-4 and NIST's SHA256ShortMsg.rsp */
START_TEST(the_digest_is_sha_256)
{
    char *million = malloc(1000000);

    digest_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    digest_is("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", 112,
              "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    digest_is("\xd3", 1, "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
    memset(million, 'a', 1000000);
    digest_is(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}
END_TEST

START_TEST(the_digest_is_of_all_bytes)
{
    unsigned char with_nul[AIGW_SHA256], shorter[AIGW_SHA256], other[AIGW_SHA256];

    ck_assert_int_eq(aigw_api_key_digest("ab\0cd", 5, with_nul), APR_SUCCESS);
    ck_assert_int_eq(aigw_api_key_digest("ab\0cd", 2, shorter), APR_SUCCESS);
    ck_assert_int_eq(aigw_api_key_digest("ab\0ce", 5, other), APR_SUCCESS);
    ck_assert_mem_ne(with_nul, shorter, AIGW_SHA256);
    ck_assert_mem_ne(with_nul, other, AIGW_SHA256);
}
END_TEST

Suite *suite_api_key(void)
{
    Suite *s = suite_create("api_key");
    TCase *c = tcase_create("api_key");

    tcase_add_test(c, ids);
    tcase_add_test(c, exactly_64_characters_are_allowed_in_each_place);
    tcase_add_test(c, a_key_is_its_id_and_32_bytes_in_base64url);
    tcase_add_test(c, the_digest_is_sha_256);
    tcase_add_test(c, the_digest_is_of_all_bytes);
    suite_add_tcase(s, c);
    return s;
}
