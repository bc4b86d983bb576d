/* aigw_base64url */
#include "suites.h"
#include "aigw_base64url.h"

#include <apr_encode.h>
#include <apr_pools.h>

#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

/* From a block of exactly this length. */
static unsigned char *decode(const char *text, apr_size_t *len)
{
    apr_size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    unsigned char *bytes;

    memcpy(exact, text, n);
    *len = 77;
    bytes = aigw_base64url_decode(pool, exact, n, len);
    free(exact);
    return bytes;
}

START_TEST(examples)
{
    /* RFC 4648, section 10; and the bytes that tell this alphabet from the other (RFC 7515, appendix C) */
    static const struct {
        const char *text, *bytes;
    } rows[] = {{"", ""},           {"Zg", "f"},          {"Zm8", "fo"},          {"Zm9v", "foo"},
                {"Zm9vYg", "foob"}, {"Zm9vYmE", "fooba"}, {"Zm9vYmFy", "foobar"}, {"A-z_4ME", "\x03\xec\xff\xe0\xc1"}};
    apr_size_t i, len;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const unsigned char *bytes = decode(rows[i].text, &len);

        ck_assert_msg(bytes && len == strlen(rows[i].bytes) && !memcmp(bytes, rows[i].bytes, len + 1), "%s", rows[i].text);
    }
}
END_TEST

START_TEST(only_one_text_stands_for_some_bytes)
{
    static const char *const refused[] = {"Z",    "Zm9vZ", "Zg==", "Zg=",  "Zm8=",  "Zh",  "Zm9",     "Zm8/",
                                          "Zm+v", "Zm 8",  " Zm8", "Zm8 ", "Zm8\n", "Z.g", "Zm8\xc3", "A-z/4ME"};
    apr_size_t i, len;

    for (i = 0; i < sizeof refused / sizeof *refused; i++) {
        ck_assert_msg(decode(refused[i], &len) == NULL, "%s", refused[i]);
    }
}
END_TEST

START_TEST(what_apr_has_encoded)
{
    unsigned char bytes[256];
    apr_size_t n, len;

    for (n = 0; n < sizeof bytes; n++) {
        const char *text;
        const unsigned char *again;

        bytes[n] = (unsigned char)(n * 167 + 13);
        text = apr_pencode_base64_binary(pool, bytes, (apr_ssize_t)n, APR_ENCODE_URL | APR_ENCODE_NOPADDING, NULL);
        again = decode(text, &len);
        MUST(again && len == n && !memcmp(again, bytes, n));
    }
}
END_TEST

Suite *suite_base64url(void)
{
    Suite *suite = suite_create("base64url");
    TCase *tc = tcase_create("base64url");

    tcase_add_checked_fixture(tc, make_pool, drop_pool);
    tcase_add_test(tc, examples);
    tcase_add_test(tc, only_one_text_stands_for_some_bytes);
    tcase_add_test(tc, what_apr_has_encoded);
    suite_add_tcase(suite, tc);
    return suite;
}
