#include "limit_who.h"

#include <apr_strings.h>

#include <arpa/inet.h>
#include <string.h>

unsigned aigw_limit_by(const aigw_limit_said_t *said)
{
    return said->by ? said->by : AIGW_LIMIT_BY_USER;
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

/* With its length before it each part ends where it does: a user from a token may have any character in his name. */
static const char *join(apr_pool_t *p, const char *who, const char *part)
{
    return apr_psprintf(p, "%s%" APR_SIZE_T_FMT ":%s", who ? who : "", strlen(part), part);
}

static const char *header(const char *name, const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    const char *value = asker->r ? apr_table_get(asker->r->headers_in, name) : NULL;
    char *lower = apr_pstrdup(p, name);

    ap_str_tolower(lower);
    return apr_pstrcat(p, "header:", lower, ":", value ? value : "", NULL);
}

const char *aigw_limit_who(const aigw_limit_said_t *said, const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    const aigw_identity_t *identity = &asker->context->identity;
    const unsigned by = aigw_limit_by(said);
    const char *who = NULL;

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
        who = join(p, who, header(said->header, asker, p));
    }
    if (by & AIGW_LIMIT_BY_MODEL) {
        who = join(p, who, apr_pstrcat(p, "model:", asker->model ? asker->model : "", NULL));
    }
    return who;
}
