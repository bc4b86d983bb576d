#include "aigw_allow_headers.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include <string.h>

#define BLANK     " \t"
#define FIELD_MAX 64 /* bytes */

/* What OpenAI's clients, AI SDKs, tracing, EventSource polyfills and our own endpoints (WIRE.md, sections 4 and 6) make browsers send. accept and its kin are asked
 * for only when their values are unusual; user-agent is set by OpenAI's SDK, and not every browser leaves it out. */
static const char *const known[] = {
    "authorization", "content-type",    "x-api-key",       "api-key",          "openai-organization", "openai-project",
    "openai-beta",   "idempotency-key", "x-request-id",    "traceparent",      "tracestate",          "last-event-id",
    "prefer",        "accept",          "accept-language", "content-language", "cache-control",       "user-agent",
};

/* Of the SDKs that Stainless makes, OpenAI's among them: names come and go with each release. */
static const char prefix[] = "x-stainless-";

static const char *with_prefix(apr_pool_t *p, const char *name, apr_size_t len)
{
    const apr_size_t n = sizeof prefix - 1;
    char *copy, *at;

    if (len <= n || len > FIELD_MAX || apr_cstr_casecmpn(name, prefix, n)) {
        return NULL;
    }
    copy = apr_pstrmemdup(p, name, len);
    for (at = copy; *at; at++) {
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
    return copy[strspn(copy, "abcdefghijklmnopqrstuvwxyz0123456789-")] ? NULL : copy;
}

/* How the answer says it; NULL: not at all. */
static const char *allowed(apr_pool_t *p, const char *name, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i]) == len && !apr_cstr_casecmpn(known[i], name, len)) {
            return known[i];
        }
    }
    return with_prefix(p, name, len);
}

static void add(apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; i < names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(names, i, const char *), name)) {
            return;
        }
    }
    APR_ARRAY_PUSH(names, const char *) = name;
}

static const char *join(apr_pool_t *p, const apr_array_header_t *names)
{
    apr_size_t size = 1;
    char *list, *at;
    int i;

    for (i = 0; i < names->nelts; i++) {
        size += strlen(APR_ARRAY_IDX(names, i, const char *)) + 2;
    }
    at = list = apr_palloc(p, size);
    for (i = 0; i < names->nelts; i++) {
        at = apr_cpystrn(at, i ? ", " : "", 3);
        at = apr_cpystrn(at, APR_ARRAY_IDX(names, i, const char *), FIELD_MAX + 1);
    }
    return names->nelts ? list : NULL;
}

const char *aigw_allow_headers(apr_pool_t *p, const char *requested)
{
    apr_array_header_t *names = apr_array_make(p, 8, sizeof(const char *));
    const char *name;
    apr_size_t len;

    while (requested && *requested && names->nelts < AIGW_ALLOW_HEADERS_MAX) {
        requested += strspn(requested, BLANK ",");
        len = strcspn(requested, ",");
        name = requested;
        requested += len;
        while (len && strchr(BLANK, name[len - 1])) {
            len--;
        }
        if (len && (name = allowed(p, name, len))) {
            add(names, name);
        }
    }
    return join(p, names);
}
