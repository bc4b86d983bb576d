/* aigw_origin */
#include "suites.h"
#include "aigw_origin.h"

#include <apr_strings.h>

#include <string.h>

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* As browsers send what is written so. */
static const char *normal(const char *written)
{
    aigw_origin_t origin;
    const char *wrong = aigw_origin_read(&origin, written, pool);

    ck_assert_msg(!wrong, "%s", wrong);
    ck_assert_uint_eq(origin.len, strlen(origin.text));
    return origin.text;
}

/* What is said of it. */
static const char *wrong(const char *written)
{
    aigw_origin_t origin;
    const char *said = aigw_origin_read(&origin, written, pool);

    ck_assert_msg(said != NULL, "%s is taken for right", written);
    return said;
}

static int have(const char *written, const char *sent)
{
    apr_array_header_t *origins = apr_array_make(pool, 1, sizeof(aigw_origin_t));
    const char *said = aigw_origin_read(apr_array_push(origins), written, pool);

    ck_assert_msg(!said, "%s", said);
    return aigw_origins_have(origins, sent);
}

START_TEST(origins_are_written_as_browsers_send_them)
{
    ck_assert_str_eq(normal("https://app.example.com"), "https://app.example.com");
    ck_assert_str_eq(normal("HTTPS://App.Example.COM"), "https://app.example.com");
    ck_assert_str_eq(normal("https://app.example.com:443"), "https://app.example.com");
    ck_assert_str_eq(normal("http://app.example.com:80"), "http://app.example.com");
    ck_assert_str_eq(normal("https://app.example.com:80"), "https://app.example.com:80");
    ck_assert_str_eq(normal("http://localhost:3000"), "http://localhost:3000");
    ck_assert_str_eq(normal("http://localhost:03000"), "http://localhost:3000");
    ck_assert_str_eq(normal("http://127.0.0.1:65535"), "http://127.0.0.1:65535");
    ck_assert_str_eq(normal("http://a_b.example"), "http://a_b.example");
    ck_assert_str_eq(normal("chrome-extension://abcdefghijklmnop"), "chrome-extension://abcdefghijklmnop");
    ck_assert_str_eq(normal("capacitor://localhost"), "capacitor://localhost");
    ck_assert_str_eq(normal("null"), "null");
    ck_assert_str_eq(normal("*"), "*");
}
END_TEST

START_TEST(ipv6_is_written_as_browsers_do)
{
    ck_assert_str_eq(normal("http://[::1]:8080"), "http://[::1]:8080");
    ck_assert_str_eq(normal("https://[0:0:0:0:0:0:0:1]:443"), "https://[::1]");
    ck_assert_str_eq(normal("http://[::]"), "http://[::]");
    ck_assert_str_eq(normal("http://[2001:DB8:0:0:1:0:0:1]"), "http://[2001:db8::1:0:0:1]");
    ck_assert_str_eq(normal("http://[2001:db8:0:1:0:0:0:1]"), "http://[2001:db8:0:1::1]");
    ck_assert_str_eq(normal("http://[1:0:2:3:4:5:6:0]"), "http://[1:0:2:3:4:5:6:0]");
    ck_assert_str_eq(normal("http://[1:2:3:4:5:6::]"), "http://[1:2:3:4:5:6::]");
    ck_assert_str_eq(normal("http://[::ffff:1.2.3.4]"), "http://[::ffff:102:304]");
    ck_assert_ptr_nonnull(strstr(wrong("http://[::1"), "no IPv6 address"));
    ck_assert_ptr_nonnull(strstr(wrong("http://[]"), "no IPv6 address"));
    ck_assert_ptr_nonnull(strstr(wrong("http://[fe80::1%25eth0]"), "no IPv6 address"));
    ck_assert_ptr_nonnull(strstr(wrong("http://[1.2.3.4]"), "no IPv6 address"));
    ck_assert_ptr_nonnull(strstr(wrong("http://[::1]x"), "port"));
    ck_assert_ptr_nonnull(strstr(wrong("http://::1"), "write http://[::1]:8080"));
}
END_TEST

START_TEST(mistakes_are_said_with_the_remedy)
{
    static const struct {
        const char *written, *said;
    } cases[] = {
        {"https://example.com/", "not even a slash: write https://example.com"},
        {"https://example.com/app", "no path: write https://example.com"},
        {"https://example.com?x", "no path: write https://example.com"},
        {"https://example.com#", "no path"},
        {"https://example.com\\x", "no path"},
        {"https://user@example.com", "no user"},
        {"example.com", "scheme: write for example https://example.com"},
        {"localhost:3000", "scheme: write for example https://localhost:3000"},
        {"//example.com", "scheme"},
        {"://example.com", "scheme"},
        {"1x://example.com", "scheme"},
        {"h ttp://example.com", "scheme"},
        {"", "scheme"},
        {"NULL", "scheme"},
        {"wss://example.com", "write https://"},
        {"ws://example.com", "write http://"},
        {"file://x", "null"},
        {"https://", "host is missing"},
        {"https://:443", "host is missing"},
        {"https://example.com:", "port"},
        {"https://example.com:0", "port"},
        {"https://example.com:65536", "port"},
        {"https://example.com:4294967377", "port"},
        {"https://example.com:8x", "port"},
        {"http://localhost:*", "port"},
        {"http://localhost:-1", "port"},
        {"https://ex ample.com", "labels"},
        {"https://example..com", "labels"},
        {"https://.example.com", "labels"},
        {"https://example.com.", "labels"},
        {"https://ex%61mple.com", "labels"},
        {"https://\xc3\xbc.example", "xn--"},
        {"https://1.2.3", "IPv4"},
        {"https://1.2.3.400", "IPv4"},
        {"https://0x7f000001", "IPv4"},
        {"https://127.0.0.01", "IPv4"},
        {"https://*", "* alone"},
        {"https://*example.com", "write https://*.example.com"},
        {"https://app.*.com", "write https://*.example.com"},
        {"https://*.*.example.com", "write https://*.example.com"},
        {"https://*.", "*"},
        {"*.example.com", "scheme"},
        {"https://*.com", "top-level"},
        {"https://*.COM:8443", "top-level"},
        {"http://*.0.0.1", "no subdomains"},
        {"http://*.[::1]", "brackets"},
        {"**", "scheme"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *said = wrong(cases[i].written);

        ck_assert_msg(strstr(said, cases[i].said) != NULL, "%s: %s", cases[i].written, said);
    }
}
END_TEST

START_TEST(names_have_their_lengths)
{
    char label[65], *name;

    memset(label, 'a', 64);
    label[63] = '\0';
    ck_assert_str_eq(normal(apr_pstrcat(pool, "https://", label, ".example", NULL)),
                     apr_pstrcat(pool, "https://", label, ".example", NULL));
    label[63] = 'a';
    label[64] = '\0';
    wrong(apr_pstrcat(pool, "https://", label, ".example", NULL));
    label[63] = '\0';
    name = apr_pstrcat(pool, label, ".", label, ".", label, ".", label, NULL); /* 255 */
    wrong(apr_pstrcat(pool, "https://", name, NULL));
    normal(apr_pstrcat(pool, "https://", name + 2, NULL));
    /* … also those that are sent */
    ck_assert(have("https://*.aaaa.aa", apr_pstrcat(pool, "https://", label, ".", label, ".", label, ".aaaa.aa", NULL)));
    ck_assert(!have("https://*.aaaa.aa", apr_pstrcat(pool, "https://", label, "a.aaaa.aa", NULL)));
    ck_assert(!have("https://*.aaaa.aa", apr_pstrcat(pool, "https://", label, ".", label, ".", label, ".", label, ".aaaa.aa", NULL)));
}
END_TEST

START_TEST(an_exact_one_is_compared_byte_for_byte)
{
    ck_assert(have("https://App.example.com:443", "https://app.example.com"));
    ck_assert(!have("https://app.example.com", "https://app.example.com:443"));
    ck_assert(!have("https://app.example.com", "https://App.example.com"));
    ck_assert(!have("https://app.example.com", "http://app.example.com"));
    ck_assert(!have("https://app.example.com", "https://app.example.com:8443"));
    ck_assert(!have("https://app.example.com", "https://app.example.com/"));
    ck_assert(!have("https://app.example.com", "https://app.example.com.evil.example"));
    ck_assert(!have("https://app.example.com", "https://app.example.co"));
    ck_assert(!have("https://app.example.com", "https://app.example.com, https://app.example.com"));
    ck_assert(!have("https://app.example.com", "null"));
    ck_assert(!have("https://app.example.com", ""));
    ck_assert(!have("https://app.example.com", NULL));
    ck_assert(have("null", "null"));
    ck_assert(!have("null", "https://null"));
}
END_TEST

START_TEST(subdomains_of_any_depth_and_never_the_domain)
{
    const char *written = "https://*.Example.com";

    ck_assert_str_eq(normal(written), "https://.example.com");
    ck_assert(have(written, "https://a.example.com"));
    ck_assert(have(written, "https://a.b.c.example.com"));
    ck_assert(have(written, "https://x-1_y.example.com"));
    ck_assert(!have(written, "https://example.com"));
    ck_assert(!have(written, "https://.example.com"));
    ck_assert(!have(written, "https://a..example.com"));
    ck_assert(!have(written, "https://.a.example.com"));
    ck_assert(!have(written, "https://badexample.com"));
    ck_assert(!have(written, "https://a.example.com.evil.example"));
    ck_assert(!have(written, "https://evil.example/.example.com"));
    ck_assert(!have(written, "https://evil.example?.example.com"));
    ck_assert(!have(written, "https://evil.example:1.example.com"));
    ck_assert(!have(written, "https://evil@a.example.com"));
    ck_assert(!have(written, "https://A.example.com"));
    ck_assert(!have(written, "https://a\r.example.com"));
    ck_assert(!have(written, "https://a\x80.example.com"));
    ck_assert(!have(written, "http://a.example.com"));
    ck_assert(!have(written, "https://a.example.com:8443"));
    ck_assert(have("http://*.localhost:3000", "http://app.localhost:3000"));
    ck_assert(!have("http://*.localhost:3000", "http://app.localhost"));
    ck_assert(!have("http://*.localhost:3000", "http://localhost:3000"));
}
END_TEST

START_TEST(a_star_is_all_and_open)
{
    aigw_origin_t origin;

    ck_assert(have("*", "https://any.example"));
    ck_assert(have("*", "null"));
    ck_assert(!have("*", NULL));
    ck_assert_ptr_null(aigw_origin_read(&origin, "*", pool));
    ck_assert(aigw_origin_is_open(&origin));
    ck_assert_ptr_null(aigw_origin_read(&origin, "null", pool));
    ck_assert(aigw_origin_is_open(&origin));
    ck_assert_ptr_null(aigw_origin_read(&origin, "https://*.example.com", pool));
    ck_assert(!aigw_origin_is_open(&origin));
}
END_TEST

START_TEST(a_list_has_any_of_its_own)
{
    apr_array_header_t *origins = apr_array_make(pool, 1, sizeof(aigw_origin_t));

    ck_assert(!aigw_origins_have(origins, "https://a.example"));
    ck_assert_ptr_null(aigw_origin_read(apr_array_push(origins), "https://a.example", pool));
    ck_assert_ptr_null(aigw_origin_read(apr_array_push(origins), "https://*.b.example", pool));
    ck_assert(aigw_origins_have(origins, "https://a.example"));
    ck_assert(aigw_origins_have(origins, "https://x.b.example"));
    ck_assert(!aigw_origins_have(origins, "https://x.a.example"));
}
END_TEST

Suite *suite_origin(void)
{
    Suite *s = suite_create("origin");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, origins_are_written_as_browsers_send_them);
    tcase_add_test(c, ipv6_is_written_as_browsers_do);
    tcase_add_test(c, mistakes_are_said_with_the_remedy);
    tcase_add_test(c, names_have_their_lengths);
    tcase_add_test(c, an_exact_one_is_compared_byte_for_byte);
    tcase_add_test(c, subdomains_of_any_depth_and_never_the_domain);
    tcase_add_test(c, a_star_is_all_and_open);
    tcase_add_test(c, a_list_has_any_of_its_own);
    suite_add_tcase(s, c);
    return s;
}
