#include "aigw_login_body.h"
#include "aigw_json_scan.h"
#include "aigw_names.h"
#include "aigw_text.h"

#include <apr_escape.h>
#include <apr_strings.h>

#include <string.h>

#define SHOWN_NAME 100 /* characters of a client's own word in a message */

/* The fields that there are. The password grant's others are let in so that clients made for it work; they say nothing here. */
typedef enum { USERNAME, PASSWORD, SCOPE, GRANT_TYPE, CLIENT_ID, CLIENT_SECRET, FIELDS } field_e;

static const char *const names[FIELDS] = {"username", "password", "scope", "grant_type", "client_id", "client_secret"};

typedef struct found_t {
    const char *values[FIELDS]; /* NULL: not there */
    apr_size_t lens[FIELDS];
} found_t;

static apr_status_t wrong(aigw_login_fault_t *fault, const char *code, const char *param, const char *message)
{
    fault->code = code;
    fault->param = param;
    fault->message = message;
    return APR_EINVAL;
}

static apr_status_t invalid(aigw_login_fault_t *fault, const char *param, const char *message)
{
    return wrong(fault, "validation_error", param, message);
}

static int field_of(const char *name)
{
    int i;

    for (i = 0; i < FIELDS && strcmp(names[i], name); i++) {
    }
    return i;
}

/* What no field of ours is called. */
static apr_status_t stranger(const char *name, apr_pool_t *p, aigw_login_fault_t *fault)
{
    const char *shown = aigw_text_shown(p, name, SHOWN_NAME);

    return invalid(fault, shown, apr_psprintf(p, "There is no field '%s' in a login: send username and password.", shown));
}

static apr_status_t judge(aigw_login_body_t *body, const found_t *found, aigw_login_fault_t *fault)
{
    const char *user = found->values[USERNAME], *password = found->values[PASSWORD], *scope = found->values[SCOPE];
    const char *grant = found->values[GRANT_TYPE];

    if (!user) {
        return invalid(fault, "username", "username is required.");
    }
    /* no colon: neither Basic (RFC 7617, section 2) nor a password file has such names, and providers put names and realms together with it */
    if (!aigw_names_valid(user, found->lens[USERNAME]) || strchr(user, ':')) {
        return invalid(fault, "username", "username must have 1 to 256 bytes of UTF-8, without control characters and colons.");
    }
    if (!password) {
        return invalid(fault, "password", "password is required.");
    }
    if (!found->lens[PASSWORD] || found->lens[PASSWORD] > AIGW_LOGIN_PASSWORD_MAX || strlen(password) != found->lens[PASSWORD]) {
        return invalid(fault, "password", "password must have 1 to 1024 bytes, and no NUL.");
    }
    if (grant && strcmp(grant, "password")) {
        return invalid(fault, "grant_type", "grant_type must be password, where it is sent.");
    }
    if (scope && *scope && !aigw_names_valid(scope, found->lens[SCOPE])) {
        return invalid(fault, "scope", "scope must be names with blanks between them, at most 256 bytes.");
    }
    body->username = user;
    body->password = password;
    body->scope = scope && *scope ? scope : NULL;
    return APR_SUCCESS;
}

/* ------------------------------------------------------------------ JSON */

apr_status_t aigw_login_body_json(aigw_login_body_t *body, const char *text, apr_size_t len, char *room, apr_pool_t *p,
                                  aigw_login_fault_t *fault)
{
    aigw_json_scan_t scan;
    found_t found = {{0}, {0}};
    int i;

    if (!len) {
        return wrong(fault, "invalid_json", NULL, "The body is empty: send a JSON object.");
    }
    if (aigw_json_scan(&scan, p, text, len) != APR_SUCCESS) {
        return wrong(fault, "invalid_json", NULL,
                     apr_psprintf(p, "The body is not valid JSON: at line %d, column %d: %s.", scan.line, scan.column, scan.why));
    }
    if (scan.root.kind != AIGW_JSON_OBJECT) {
        return invalid(fault, NULL, "The body must be a JSON object.");
    }
    for (i = 0; i < scan.nmembers; i++) {
        const aigw_json_member_t *member = &scan.members[i];
        int field = field_of(member->name);

        if (field == FIELDS) {
            return stranger(member->name, p, fault);
        }
        if (member->value.kind == AIGW_JSON_NULL && field != USERNAME && field != PASSWORD) {
            continue;
        }
        if (member->value.kind != AIGW_JSON_STRING) {
            return invalid(fault, names[field], apr_psprintf(p, "%s must be a string.", names[field]));
        }
        /* a name's bytes are never needed here, so a value's two quotes are room enough for its NUL */
        found.lens[field] = aigw_json_unescape(&scan, &member->value, room);
        found.values[field] = room;
        room += found.lens[field] + 1;
    }
    return judge(body, &found, fault);
}

/* ------------------------------------------------------------------ form */

/* '+', %20 and all into out, which has room for len + 1. 0: not well encoded, or it has a NUL. */
static int decode(const char *text, apr_size_t len, char *out, apr_size_t *n)
{
    apr_status_t rv;

    *n = 0;
    *out = '\0';
    if (!len) {
        return 1;
    }
    rv = apr_unescape_url(out, text, (apr_ssize_t)len, NULL, NULL, 1, NULL);
    *n = strlen(out);
    return rv == APR_SUCCESS || rv == APR_NOTFOUND; /* the latter: nothing was encoded */
}

static apr_status_t read_pair(found_t *found, const char *text, apr_size_t len, char **room, apr_pool_t *p, aigw_login_fault_t *fault)
{
    const char *equals = memchr(text, '=', len), *value = equals ? equals + 1 : text + len;
    apr_size_t name_len = equals ? (apr_size_t)(equals - text) : len, n;
    char *name = apr_palloc(p, name_len + 1);
    int field;

    if (!decode(text, name_len, name, &n)) {
        return wrong(fault, "bad_request", NULL, "The form is not well encoded.");
    }
    field = field_of(name);
    if (field == FIELDS) {
        return stranger(name, p, fault);
    }
    if (found->values[field]) {
        return invalid(fault, names[field], apr_psprintf(p, "%s stands twice in the form.", names[field]));
    }
    found->values[field] = *room;
    if (!decode(value, len - (apr_size_t)(value - text), *room, &found->lens[field])) {
        return wrong(fault, "bad_request", names[field], apr_psprintf(p, "%s is not well encoded.", names[field]));
    }
    *room += found->lens[field] + 1;
    return APR_SUCCESS;
}

apr_status_t aigw_login_body_form(aigw_login_body_t *body, const char *text, apr_size_t len, char *room, apr_pool_t *p,
                                  aigw_login_fault_t *fault)
{
    const char *end = text + len, *next;
    found_t found = {{0}, {0}};

    if (!len) {
        return wrong(fault, "bad_request", NULL, "The body is empty: send username and password.");
    }
    if (memchr(text, '\0', len)) {
        return wrong(fault, "bad_request", NULL, "The form is not well encoded.");
    }
    for (; text < end; text = next + 1) {
        next = memchr(text, '&', (apr_size_t)(end - text));
        next = next ? next : end;
        if (next > text && read_pair(&found, text, (apr_size_t)(next - text), &room, p, fault) != APR_SUCCESS) {
            return APR_EINVAL;
        }
    }
    return judge(body, &found, fault);
}
