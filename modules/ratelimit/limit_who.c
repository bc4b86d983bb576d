#include "limit_who.h"
#include "aigw_address.h"

#include <apr_strings.h>

#include <string.h>

unsigned aigw_limit_by(const aigw_limit_said_t *said)
{
    return said->by ? said->by : AIGW_LIMIT_BY_USER;
}

static const char *address(const aigw_limit_asker_t *asker, apr_pool_t *p)
{
    return apr_pstrcat(p, "address:", aigw_address_client(p, asker->context->address), NULL);
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
