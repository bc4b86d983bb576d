/* aigw_callback_url */
#include "suites.h"
#include "aigw_callback_url.h"

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

static void reads(const char *written, const char *origin, const char *text)
{
    aigw_callback_url_t url;
    const char *wrong = aigw_callback_url_read(pool, written, &url);

    ck_assert_msg(!wrong, "%s: %s", written, wrong);
    ck_assert_str_eq(url.origin, origin);
    ck_assert_str_eq(url.text, text);
}

static int has(const char *listed, const char *written)
{
    aigw_callback_list_t list = {NULL, 0};
    aigw_callback_url_t url;
    const char *wrong = aigw_callback_list_add(pool, &list, listed);

    ck_assert_msg(!wrong, "%s", wrong);
    ck_assert(!aigw_callback_list_is_empty(&list));
    wrong = aigw_callback_url_read(pool, written, &url);
    ck_assert_msg(!wrong, "%s", wrong);
    return aigw_callback_list_has(&list, &url);
}

START_TEST(urls_have_one_form)
{
    reads("https://hooks.example.com/a?b=c", "https://hooks.example.com", "https://hooks.example.com/a?b=c");
    reads("HTTPS://Hooks.Example.COM:443", "https://hooks.example.com", "https://hooks.example.com/");
    reads("https://a.example?x", "https://a.example", "https://a.example/?x");
    reads("https://a.example/@b:c", "https://a.example", "https://a.example/@b:c");
    reads("http://a.example:8080/x", "http://a.example:8080", "http://a.example:8080/x");
    reads("https://[0:0::1]:9/x", "https://[::1]:9", "https://[::1]:9/x");
    reads("https://127.0.0.1/", "https://127.0.0.1", "https://127.0.0.1/");
}
END_TEST

START_TEST(what_could_be_read_in_two_ways_is_no_url)
{
    static const char *const wrong[] = {"",
                                        "hooks.example.com",
                                        "//hooks.example.com/",
                                        "ftp://a.example/",
                                        "file:///etc/passwd",
                                        "https:/a.example",
                                        "https:a.example",
                                        "https://",
                                        "https:///x",
                                        "https://user@a.example/",
                                        "https://user:pw@a.example/",
                                        "https://good.example@evil.example/",
                                        "https://a.example/#x",
                                        "https://a.example#@evil.example/",
                                        "https://a.example\\@evil.example/",
                                        "https://a.example /",
                                        "https://a.example/x y",
                                        "https://a.example/\r\nHost: b",
                                        "https://a.example/\t",
                                        "https://2130706433/",
                                        "https://0x7f.1/",
                                        "https://127.1/",
                                        "https://0177.0.0.1/",
                                        "https://127.0.0.1.:443/",
                                        "https://a.example./",
                                        "https://a..example/",
                                        "https://*.example.com/",
                                        "https://a.example:0/",
                                        "https://a.example:65536/",
                                        "https://a.example:8x/",
                                        "https://a.example:/x",
                                        "https://[::1/",
                                        "https://[::1%25eth0]/",
                                        "https://[::1]x/",
                                        "https://\xc3\xa4.example/",
                                        "https://a.example/\xc3\xa4",
                                        "https://a%2eexample/",
                                        "https://a.example\x7f/",
                                        "javascript:alert(1)",
                                        "https://null@/",
                                        "null",
                                        "*"};
    aigw_callback_url_t url;
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(aigw_callback_url_read(pool, wrong[i], &url) != NULL, "%s is taken for %s", wrong[i], url.text);
    }
}
END_TEST

START_TEST(urls_have_a_length)
{
    char *longest = apr_palloc(pool, AIGW_CALLBACK_URL_MAX + 2);
    aigw_callback_url_t url;

    memset(longest, 'a', AIGW_CALLBACK_URL_MAX + 1);
    memcpy(longest, "https://a.example/", 18);
    longest[AIGW_CALLBACK_URL_MAX] = '\0';
    ck_assert_ptr_null(aigw_callback_url_read(pool, longest, &url));
    longest[AIGW_CALLBACK_URL_MAX] = 'a';
    longest[AIGW_CALLBACK_URL_MAX + 1] = '\0';
    ck_assert_ptr_nonnull(strstr(aigw_callback_url_read(pool, longest, &url), "2,048"));
}
END_TEST

START_TEST(the_list_is_of_scheme_host_and_port)
{
    ck_assert(has("https://hooks.example.com", "https://hooks.example.com/x"));
    ck_assert(has("hooks.example.com", "https://hooks.example.com/x"));
    ck_assert(has("https://hooks.example.com", "https://HOOKS.example.com:443/x"));
    ck_assert(!has("https://hooks.example.com", "http://hooks.example.com/x"));
    ck_assert(!has("https://hooks.example.com", "https://hooks.example.com:8443/x"));
    ck_assert(!has("https://hooks.example.com", "https://hooks.example.com.evil.example/x"));
    ck_assert(!has("https://hooks.example.com", "https://evil.example/https://hooks.example.com"));
    ck_assert(!has("http://hooks.example.com", "https://hooks.example.com/x"));
    ck_assert(has("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"));
    ck_assert(has("*.example.org:8443", "https://a.b.example.org:8443/x"));
    ck_assert(!has("*.example.org:8443", "https://a.example.org/x"));
    ck_assert(!has("*.example.org:8443", "https://example.org:8443/x"));
    ck_assert(!has("*.example.org:8443", "https://evilexample.org:8443/x"));
    ck_assert(!has("*.example.org:8443", "http://a.example.org:8443/x"));
}
END_TEST

START_TEST(a_star_is_every_host_by_https)
{
    ck_assert(has("*", "https://a.example/x"));
    ck_assert(has("*", "https://[2606:4700::1]/x"));
    ck_assert(!has("*", "https://[2606:4700::1]:8443/x"));
    ck_assert(!has("*", "https://a.example:8443/x"));
    ck_assert(!has("*", "http://a.example/x"));
}
END_TEST

START_TEST(entries_that_are_none)
{
    static const char *const wrong[] = {
        "",          "ftp://a.example",      "https://a.example/path", "https://u@a.example", "a*.example", "*.com", "https://a.example:x",
        "file:///x", "capacitor://localhost"};
    aigw_callback_list_t list = {NULL, 0};
    size_t i;

    ck_assert(aigw_callback_list_is_empty(&list));
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(aigw_callback_list_add(pool, &list, wrong[i]) != NULL, "%s", wrong[i]);
    }
    ck_assert(!list.any);
}
END_TEST

Suite *suite_callback_url(void)
{
    Suite *s = suite_create("callback_url");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, urls_have_one_form);
    tcase_add_test(c, what_could_be_read_in_two_ways_is_no_url);
    tcase_add_test(c, urls_have_a_length);
    tcase_add_test(c, the_list_is_of_scheme_host_and_port);
    tcase_add_test(c, a_star_is_every_host_by_https);
    tcase_add_test(c, entries_that_are_none);
    suite_add_tcase(s, c);
    return s;
}
