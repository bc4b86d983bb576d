#include "aigw_address.h"

#include <apr_strings.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

typedef struct range_t {
    const char *net; /* as inet_pton() reads it */
    int bits;
    aigw_address_e kind;
    const char *name;
} range_t;

/* The first that fits counts. IANA's registries of special-purpose addresses, and where clouds keep the credentials of a machine. */
static const range_t ranges4[] = {{"127.0.0.0", 8, AIGW_ADDRESS_PRIVATE, "loopback"},
                                  {"10.0.0.0", 8, AIGW_ADDRESS_PRIVATE, "private"},
                                  {"172.16.0.0", 12, AIGW_ADDRESS_PRIVATE, "private"},
                                  {"192.168.0.0", 16, AIGW_ADDRESS_PRIVATE, "private"},
                                  {"100.100.100.200", 32, AIGW_ADDRESS_CLOSED, "metadata"},
                                  {"100.64.0.0", 10, AIGW_ADDRESS_PRIVATE, "carrier-grade NAT"},
                                  {"169.254.169.254", 32, AIGW_ADDRESS_CLOSED, "metadata"},
                                  {"169.254.0.0", 16, AIGW_ADDRESS_CLOSED, "link-local"},
                                  {"168.63.129.16", 32, AIGW_ADDRESS_CLOSED, "metadata"},
                                  {"0.0.0.0", 8, AIGW_ADDRESS_CLOSED, "unspecified"},
                                  {"192.0.0.0", 24, AIGW_ADDRESS_CLOSED, "reserved"},
                                  {"192.0.2.0", 24, AIGW_ADDRESS_CLOSED, "documentation"},
                                  {"192.88.99.0", 24, AIGW_ADDRESS_CLOSED, "reserved"},
                                  {"198.18.0.0", 15, AIGW_ADDRESS_CLOSED, "benchmarking"},
                                  {"198.51.100.0", 24, AIGW_ADDRESS_CLOSED, "documentation"},
                                  {"203.0.113.0", 24, AIGW_ADDRESS_CLOSED, "documentation"},
                                  {"224.0.0.0", 4, AIGW_ADDRESS_CLOSED, "multicast"},
                                  {"240.0.0.0", 4, AIGW_ADDRESS_CLOSED, "reserved"},
                                  {"0.0.0.0", 0, AIGW_ADDRESS_PUBLIC, "public"}};

/* Of IPv6 only 2000::/3 is given out: what is not named here is closed. */
static const range_t ranges6[] = {{"::1", 128, AIGW_ADDRESS_PRIVATE, "loopback"},
                                  {"::", 128, AIGW_ADDRESS_CLOSED, "unspecified"},
                                  {"fd00:ec2::254", 128, AIGW_ADDRESS_CLOSED, "metadata"},
                                  {"fd20:ce::254", 128, AIGW_ADDRESS_CLOSED, "metadata"},
                                  {"fc00::", 7, AIGW_ADDRESS_PRIVATE, "unique-local"},
                                  {"fe80::", 10, AIGW_ADDRESS_CLOSED, "link-local"},
                                  {"ff00::", 8, AIGW_ADDRESS_CLOSED, "multicast"},
                                  {"2001::", 23, AIGW_ADDRESS_CLOSED, "reserved"}, /* Teredo, ORCHID */
                                  {"2001:db8::", 32, AIGW_ADDRESS_CLOSED, "documentation"},
                                  {"3fff::", 20, AIGW_ADDRESS_CLOSED, "documentation"},
                                  {"2000::", 3, AIGW_ADDRESS_PUBLIC, "public"},
                                  {"::", 0, AIGW_ADDRESS_CLOSED, "reserved"}};

static int has(const unsigned char *net, int bits, const unsigned char *address)
{
    const int whole = bits / 8, rest = bits % 8;

    return !memcmp(net, address, (size_t)whole) && (!rest || !((net[whole] ^ address[whole]) >> (8 - rest)));
}

static int is_in(int family, const char *written, int bits, const unsigned char *address)
{
    unsigned char net[16];

    return inet_pton(family, written, net) == 1 && has(net, bits, address);
}

/* The IPv4 address that an IPv6 one leads to; NULL: none. */
static const unsigned char *inner(const unsigned char *address)
{
    return is_in(AF_INET6, "::ffff:0:0", 96, address) || is_in(AF_INET6, "64:ff9b::", 96, address) ? address + 12
           : is_in(AF_INET6, "2002::", 16, address)                                                ? address + 2
                                                                                                   : NULL;
}

/* Its family and bytes, those of the inner one if there is one; 0: it is neither IPv4 nor IPv6. */
static int look(const struct sockaddr *address, const unsigned char **bytes)
{
    const unsigned char *v4;

    if (address->sa_family == AF_INET) {
        *bytes = (const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
        return AF_INET;
    }
    if (address->sa_family != AF_INET6) {
        return 0;
    }
    *bytes = (const unsigned char *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    v4 = inner(*bytes);
    *bytes = v4 ? v4 : *bytes;
    return v4 ? AF_INET : AF_INET6;
}

aigw_address_e aigw_address_kind(const struct sockaddr *address, const char **name)
{
    const unsigned char *bytes = NULL;
    const int family = look(address, &bytes);
    const range_t *range = family == AF_INET ? ranges4 : ranges6;

    if (!family) {
        if (name) {
            *name = "local";
        }
        return AIGW_ADDRESS_CLOSED;
    }
    while (range->bits && !is_in(family, range->net, range->bits, bytes)) {
        range++;
    }
    if (name) {
        *name = range->name;
    }
    return range->kind;
}

const char *aigw_address_network(apr_pool_t *p, const char *written, apr_array_header_t *networks)
{
    char *net = apr_pstrdup(p, written), *bits = strchr(net, '/');
    unsigned char address[16];
    apr_ipsubnet_t *made;

    if (bits) {
        *bits++ = '\0';
    }
    /* apr_ipsubnet_create() takes "10" and "10.1", too: meant for access control, and easily misread here */
    if ((inet_pton(AF_INET, net, address) != 1 && inet_pton(AF_INET6, net, address) != 1) ||
        (bits && (!*bits || bits[strspn(bits, "0123456789")])) || apr_ipsubnet_create(&made, net, bits, p) != APR_SUCCESS) {
        return apr_psprintf(p, "\"%s\" is no network: write 10.0.0.0/8, fd00::/8 or one address", written);
    }
    APR_ARRAY_PUSH(networks, apr_ipsubnet_t *) = made;
    return NULL;
}

int aigw_address_in(const apr_array_header_t *networks, const struct sockaddr *address)
{
    const unsigned char *bytes = NULL;
    apr_sockaddr_t made;
    int i;

    memset(&made, 0, sizeof made);
    made.family = look(address, &bytes);
    if (made.family == AF_INET) {
        memcpy(made.ipaddr_ptr = &made.sa.sin.sin_addr, bytes, 4);
    }
    else if (made.family == AF_INET6) {
        memcpy(made.ipaddr_ptr = &made.sa.sin6.sin6_addr, bytes, 16);
    }
    for (i = 0; made.family && i < networks->nelts; i++) {
        if (apr_ipsubnet_test(APR_ARRAY_IDX(networks, i, apr_ipsubnet_t *), &made)) {
            return 1;
        }
    }
    return 0;
}

const char *aigw_address_client(apr_pool_t *p, const char *written)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr network;
    struct in_addr v4;

    if (written && inet_pton(AF_INET, written, &v4) == 1) {
        return apr_pstrdup(p, written);
    }
    /* of a link, "fe80::1%eth0" */
    if (!written || inet_pton(AF_INET6, apr_pstrmemdup(p, written, strcspn(written, "%")), &network) != 1) {
        return "?";
    }
    if (IN6_IS_ADDR_V4MAPPED(&network)) {
        return inet_ntop(AF_INET, network.s6_addr + 12, text, sizeof text) ? apr_pstrdup(p, text) : "?";
    }
    memset(network.s6_addr + 8, 0, 8); /* whoever has an address has 2^64 of them */
    return inet_ntop(AF_INET6, &network, text, sizeof text) ? apr_pstrcat(p, text, "/64", NULL) : "?";
}
