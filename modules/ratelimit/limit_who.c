#include "limit_who.h"

#include <apr_strings.h>

#include <arpa/inet.h>
#include <string.h>

unsigned aigw_limit_by(const aigw_limit_section_t *section, const aigw_limit_section_t *around)
{
    return section->by ? section->by : around && around->by ? around->by : AIGW_LIMIT_BY_USER;
}

const char *aigw_limit_network(apr_pool_t *p, const char *address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr network;
    struct in_addr v4;

    if (address && inet_pton(AF_INET, address, &v4) == 1) {
        return apr_pstrdup(p, address);
    }
    /* of a link, "fe80::1%eth0" */
    if (!address || inet_pton(AF_INET6, apr_pstrndup(p, address, strcspn(address, "%")), &network) != 1) {
        return "?";
    }
    if (IN6_IS_ADDR_V4MAPPED(&network)) {
        return inet_ntop(AF_INET, network.s6_addr + 12, text, sizeof text) ? apr_pstrdup(p, text) : "?";
    }
    memset(network.s6_addr + 8, 0, 8); /* whoever has an address has 2^64 of them */
    return inet_ntop(AF_INET6, &network, text, sizeof text) ? apr_pstrcat(p, text, "/64", NULL) : "?";
}

static const char *address(const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    return apr_pstrcat(p, "address:", aigw_limit_network(p, asker->context->address), NULL);
}

/* Parts are joined by a character that none of them can have. */
static const char *join(apr_pool_t *p, const char *who, const char *part)
{
    return who ? apr_pstrcat(p, who, "\n", part, NULL) : part;
}

const char *aigw_limit_who(const aigw_limit_t *limit, const aigw_limit_section_t *around, const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    const aigw_identity_t *identity = &asker->context->identity;
    const unsigned by = aigw_limit_by(limit->section, around);
    const char *header = limit->section->by ? limit->section->header : around ? around->header : NULL, *value, *who = NULL;

    if (by & AIGW_LIMIT_BY_ADDRESS) {
        who = join(p, who, address(asker, p));
    }
    if (by & AIGW_LIMIT_BY_USER) {
        who = join(p, who, identity->user ? apr_pstrcat(p, "user:", identity->user, NULL) : address(asker, p));
    }
    if (by & AIGW_LIMIT_BY_KEY) {
        who = join(p, who, identity->key_id ? apr_pstrcat(p, "key:", identity->key_id, NULL) : address(asker, p));
    }
    if (by & AIGW_LIMIT_BY_HEADER) {
        value = header && asker->r ? apr_table_get(asker->r->headers_in, header) : NULL;
        who = join(p, who, apr_pstrcat(p, "header:", value ? value : "", NULL));
    }
    if (by & AIGW_LIMIT_BY_MODEL) {
        who = join(p, who, apr_pstrcat(p, "model:", asker->model ? asker->model : "", NULL));
    }
    return who;
}
