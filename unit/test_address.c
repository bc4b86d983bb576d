/* aigw_address */
#include "suites.h"
#include "aigw_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static const struct sockaddr *address(const char *text)
{
    static struct sockaddr_storage made;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&made;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&made;

    memset(&made, 0, sizeof made);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    }
    else {
        memset(&made, 0, sizeof made);
        ck_assert_msg(inet_pton(AF_INET6, text, &v6->sin6_addr) == 1, "%s", text);
        v6->sin6_family = AF_INET6;
    }
    return (const struct sockaddr *)&made;
}

static void is(aigw_address_e kind, const char *name, const char *text)
{
    const char *said = NULL;
    const aigw_address_e found = aigw_address_kind(address(text), &said);

    ck_assert_msg(found == kind && !strcmp(said, name), "%s: %d %s", text, (int)found, said);
}

START_TEST(ipv4)
{
    is(AIGW_ADDRESS_PUBLIC, "public", "8.8.8.8");
    is(AIGW_ADDRESS_PUBLIC, "public", "9.255.255.255");
    is(AIGW_ADDRESS_PRIVATE, "private", "10.0.0.0");
    is(AIGW_ADDRESS_PRIVATE, "private", "10.255.255.255");
    is(AIGW_ADDRESS_PUBLIC, "public", "11.0.0.0");
    is(AIGW_ADDRESS_PUBLIC, "public", "100.63.255.255");
    is(AIGW_ADDRESS_PRIVATE, "carrier-grade NAT", "100.64.0.0");
    is(AIGW_ADDRESS_PRIVATE, "carrier-grade NAT", "100.127.255.255");
    is(AIGW_ADDRESS_PUBLIC, "public", "100.128.0.0");
    is(AIGW_ADDRESS_PRIVATE, "loopback", "127.0.0.1");
    is(AIGW_ADDRESS_PRIVATE, "loopback", "127.255.255.254");
    is(AIGW_ADDRESS_PUBLIC, "public", "128.0.0.1");
    is(AIGW_ADDRESS_PUBLIC, "public", "172.15.255.255");
    is(AIGW_ADDRESS_PRIVATE, "private", "172.16.0.0");
    is(AIGW_ADDRESS_PRIVATE, "private", "172.31.255.255");
    is(AIGW_ADDRESS_PUBLIC, "public", "172.32.0.0");
    is(AIGW_ADDRESS_PRIVATE, "private", "192.168.1.1");
    is(AIGW_ADDRESS_CLOSED, "unspecified", "0.0.0.0");
    is(AIGW_ADDRESS_CLOSED, "unspecified", "0.1.2.3");
    is(AIGW_ADDRESS_CLOSED, "link-local", "169.254.0.1");
    is(AIGW_ADDRESS_CLOSED, "metadata", "169.254.169.254");
    is(AIGW_ADDRESS_CLOSED, "metadata", "100.100.100.200");
    is(AIGW_ADDRESS_CLOSED, "metadata", "168.63.129.16");
    is(AIGW_ADDRESS_CLOSED, "reserved", "192.0.0.192");
    is(AIGW_ADDRESS_CLOSED, "documentation", "192.0.2.1");
    is(AIGW_ADDRESS_CLOSED, "documentation", "198.51.100.1");
    is(AIGW_ADDRESS_CLOSED, "documentation", "203.0.113.1");
    is(AIGW_ADDRESS_CLOSED, "benchmarking", "198.19.255.255");
    is(AIGW_ADDRESS_CLOSED, "multicast", "224.0.0.1");
    is(AIGW_ADDRESS_CLOSED, "multicast", "239.255.255.250");
    is(AIGW_ADDRESS_CLOSED, "reserved", "240.0.0.1");
    is(AIGW_ADDRESS_CLOSED, "reserved", "255.255.255.255");
}
END_TEST

START_TEST(ipv6)
{
    is(AIGW_ADDRESS_PUBLIC, "public", "2606:4700::1111");
    is(AIGW_ADDRESS_PUBLIC, "public", "2001:4860:4860::8888");
    is(AIGW_ADDRESS_PRIVATE, "loopback", "::1");
    is(AIGW_ADDRESS_CLOSED, "unspecified", "::");
    is(AIGW_ADDRESS_PRIVATE, "unique-local", "fc00::1");
    is(AIGW_ADDRESS_PRIVATE, "unique-local", "fdff::1");
    is(AIGW_ADDRESS_CLOSED, "metadata", "fd00:ec2::254");
    is(AIGW_ADDRESS_CLOSED, "link-local", "fe80::1");
    is(AIGW_ADDRESS_CLOSED, "link-local", "febf::1");
    is(AIGW_ADDRESS_CLOSED, "reserved", "fec0::1");
    is(AIGW_ADDRESS_CLOSED, "multicast", "ff02::1");
    is(AIGW_ADDRESS_CLOSED, "documentation", "2001:db8::1");
    is(AIGW_ADDRESS_CLOSED, "documentation", "3fff::1");
    is(AIGW_ADDRESS_CLOSED, "reserved", "2001::1"); /* Teredo */
    is(AIGW_ADDRESS_CLOSED, "reserved", "100::1");
    is(AIGW_ADDRESS_CLOSED, "reserved", "4000::1");
    is(AIGW_ADDRESS_CLOSED, "reserved", "64:ff9b:1::a00:1");
}
END_TEST

START_TEST(an_ipv4_address_inside_decides)
{
    is(AIGW_ADDRESS_PRIVATE, "loopback", "::ffff:127.0.0.1");
    is(AIGW_ADDRESS_CLOSED, "metadata", "::ffff:169.254.169.254");
    is(AIGW_ADDRESS_PUBLIC, "public", "::ffff:8.8.8.8");
    is(AIGW_ADDRESS_CLOSED, "metadata", "64:ff9b::169.254.169.254");
    is(AIGW_ADDRESS_PRIVATE, "private", "64:ff9b::10.0.0.1");
    is(AIGW_ADDRESS_PUBLIC, "public", "64:ff9b::8.8.8.8");
    is(AIGW_ADDRESS_PRIVATE, "loopback", "2002:7f00:1::1");
    is(AIGW_ADDRESS_PUBLIC, "public", "2002:808:808::1");
    is(AIGW_ADDRESS_CLOSED, "reserved", "::127.0.0.1"); /* nobody has used this form for 20 years */
    is(AIGW_ADDRESS_CLOSED, "reserved", "::8.8.8.8");
}
END_TEST

START_TEST(what_is_no_address_of_a_network_is_closed)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    const char *name = NULL;

    ck_assert_int_eq(aigw_address_kind((const struct sockaddr *)&local, &name), AIGW_ADDRESS_CLOSED);
    ck_assert_str_eq(name, "local");
    ck_assert_int_eq(aigw_address_kind((const struct sockaddr *)&local, NULL), AIGW_ADDRESS_CLOSED);
}
END_TEST

START_TEST(networks)
{
    static const char *const wrong[] = {"",           "10",          "10.0.0.0/",   "10.0.0.0/33", "10.0.0.0/8.8", "10.0.0.0/255.0.0.0",
                                        "fd00::/129", "example.com", "10.0.0.0/-1", "/8",          "fe80::1%eth0"};
    apr_array_header_t *all = apr_array_make(pool, 4, sizeof(apr_ipsubnet_t *));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(aigw_address_network(pool, wrong[i], all) != NULL, "%s", wrong[i]);
    }
    ck_assert_int_eq(all->nelts, 0);
    ck_assert(!aigw_address_in(all, address("10.1.2.3")));
    ck_assert_ptr_null(aigw_address_network(pool, "10.1.0.0/16", all));
    ck_assert_ptr_null(aigw_address_network(pool, "192.168.7.7", all));
    ck_assert_ptr_null(aigw_address_network(pool, "fd00:1::/32", all));
    ck_assert(aigw_address_in(all, address("10.1.2.3")));
    ck_assert(!aigw_address_in(all, address("10.2.2.3")));
    ck_assert(aigw_address_in(all, address("192.168.7.7")));
    ck_assert(!aigw_address_in(all, address("192.168.7.8")));
    ck_assert(aigw_address_in(all, address("::ffff:10.1.2.3")));
    ck_assert(aigw_address_in(all, address("64:ff9b::10.1.2.3")));
    ck_assert(!aigw_address_in(all, address("::ffff:10.2.2.3")));
    ck_assert(aigw_address_in(all, address("fd00:1:2::3")));
    ck_assert(!aigw_address_in(all, address("fd00:2:2::3")));
    ck_assert(!aigw_address_in(all, (const struct sockaddr *)&local));
}
END_TEST

START_TEST(a_client_is_his_network)
{
    static const char *const is[][2] = {{"192.0.2.1", "192.0.2.1"},
                                        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
                                        {"2001:DB8:1:2::7", "2001:db8:1:2::/64"},
                                        {"2001:db8:1:3::7", "2001:db8:1:3::/64"},
                                        {"::1", "::/64"},
                                        {"fe80::1%eth0", "fe80::/64"},
                                        {"::ffff:192.0.2.1", "192.0.2.1"},
                                        {"", "?"},
                                        {"192.0.2", "?"},
                                        {"localhost", "?"}};
    size_t i;

    for (i = 0; i < sizeof is / sizeof *is; i++) {
        ck_assert_str_eq(aigw_address_client(pool, is[i][0]), is[i][1]);
    }
    ck_assert_str_eq(aigw_address_client(pool, NULL), "?");
}
END_TEST

Suite *suite_address(void)
{
    Suite *s = suite_create("address");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, ipv4);
    tcase_add_test(c, ipv6);
    tcase_add_test(c, an_ipv4_address_inside_decides);
    tcase_add_test(c, what_is_no_address_of_a_network_is_closed);
    tcase_add_test(c, networks);
    tcase_add_test(c, a_client_is_his_network);
    suite_add_tcase(s, c);
    return s;
}
