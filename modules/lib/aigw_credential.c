#include "aigw_credential.h"

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define BLANK " \t"

/* Visible ASCII without what separates things in header fields: wider than RFC 6750's b64token, for keys that were made elsewhere. */
static int is_token(const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (!apr_isgraph(s[i]) || (unsigned char)s[i] > 126 || strchr(",;\"\\", s[i])) {
            return 0;
        }
    }
    return len > 0 && len <= AIGW_CREDENTIAL_MAX;
}

/* One more place in which a credential may stand; what is empty says nothing. */
static aigw_credential_e add(aigw_credential_t *credential, const char *s, apr_size_t len, apr_pool_t *p)
{
    while (len && strchr(BLANK, s[len - 1])) {
        len--;
    }
    if (!len) {
        return credential->token ? AIGW_CREDENTIAL_OK : AIGW_CREDENTIAL_NONE;
    }
    if (!is_token(s, len)) {
        return memchr(s, ',', len) ? AIGW_CREDENTIAL_MULTIPLE : AIGW_CREDENTIAL_BAD;
    }
    if (credential->token) {
        return credential->len == len && !memcmp(credential->token, s, len) ? AIGW_CREDENTIAL_OK : AIGW_CREDENTIAL_MULTIPLE;
    }
    credential->token = apr_pstrmemdup(p, s, len);
    credential->len = len;
    return AIGW_CREDENTIAL_OK;
}

static aigw_credential_e add_field(aigw_credential_t *credential, const char *value, apr_pool_t *p)
{
    if (!value) {
        return add(credential, "", 0, p);
    }
    value += strspn(value, BLANK);
    return add(credential, value, strlen(value), p);
}

static aigw_credential_e add_bearer(aigw_credential_t *credential, const char *value, apr_pool_t *p)
{
    static const char scheme[] = "Bearer";
    const apr_size_t n = sizeof scheme - 1;

    if (!value || apr_cstr_casecmpn(value, scheme, n) || (value[n] && !strchr(BLANK, value[n]))) {
        return add(credential, "", 0, p);
    }
    return add_field(credential, value + n, p);
}

/* A list of subprotocols; those of others mean nothing here. */
static aigw_credential_e add_subprotocols(aigw_credential_t *credential, const char *list, apr_pool_t *p)
{
    static const char prefix[] = AIGW_CREDENTIAL_SUBPROTOCOL;
    const apr_size_t n = sizeof prefix - 1;
    aigw_credential_e found = add(credential, "", 0, p);

    while (list && *list && found <= AIGW_CREDENTIAL_OK) {
        apr_size_t len;

        list += strspn(list, BLANK ",");
        len = strcspn(list, ",");
        if (len >= n && !memcmp(list, prefix, n)) {
            found = add(credential, list + n, len - n, p);
        }
        list += len;
    }
    return found;
}

aigw_credential_e aigw_credential_read(const aigw_credential_fields_t *fields, apr_pool_t *p, aigw_credential_t *credential)
{
    aigw_credential_e found;

    memset(credential, 0, sizeof *credential);
    found = add_bearer(credential, fields->authorization, p);
    if (found <= AIGW_CREDENTIAL_OK) {
        found = add_field(credential, fields->x_api_key, p);
    }
    if (found <= AIGW_CREDENTIAL_OK) {
        found = add_field(credential, fields->api_key, p);
    }
    if (found <= AIGW_CREDENTIAL_OK) {
        found = add_subprotocols(credential, fields->websocket, p);
    }
    return found;
}
