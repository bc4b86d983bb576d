#include "login.h"
#include "auth.h"
#include "attempt.h"
#include "endpoint.h"
#include "issuer.h"
#include "login_conf.h"
#include "tiers.h"
#include "aigw_login_body.h"
#include "aigw_names.h"
#include "aigw_text.h"

#include <http_log.h>
#include <http_protocol.h>
#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/crypto.h>

APLOG_USE_MODULE(aigw_auth);

#define BODY_MAX   (16 * 1024) /* bytes */
#define SHOWN_NAME 100         /* characters of a user's name in the log */
#define JTI_BYTES  16

typedef struct login_t {
    request_rec *r;
    const aigw_login_conf_t *conf;
    const aigw_issuer_t *issuer;
    char *data, *room; /* the body, and what was decoded of it: the password is in both */
    apr_size_t len;
    aigw_login_body_t body;
    const char *subject; /* who it turned out to be */
    const char *provider;
} login_t;

/* ------------------------------------------------------------------ the body */

/* The media type, in lower case and without parameters; "" if it is not said. */
static const char *media_type(request_rec *r)
{
    const char *field = apr_table_get(r->headers_in, "Content-Type");
    char *type = apr_pstrmemdup(r->pool, field ? field : "", field ? strcspn(field, "; \t") : 0);

    ap_str_tolower(type);
    return type;
}

/* What we have of the password goes; what httpd's filters had of it was theirs. */
static void wipe(login_t *login)
{
    if (login->data) {
        OPENSSL_cleanse(login->data, login->len);
        OPENSSL_cleanse(login->room, login->len + 1);
        aigw_auth_core->body_free(login->r, login->data);
        login->data = NULL;
        login->body.password = NULL;
    }
}

static const aigw_error_t *type_error(request_rec *r)
{
    return aigw_auth_core->error_make(
        r->pool, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", NULL,
        "Send the login as application/json or application/x-www-form-urlencoded, without a Content-Encoding.");
}

static int is_encoded(request_rec *r)
{
    const char *encoding = apr_table_get(r->headers_in, "Content-Encoding");

    return encoding && *encoding && ap_cstr_casecmp(encoding, "identity");
}

static const aigw_error_t *read_body(login_t *login)
{
    request_rec *r = login->r;
    const char *type = media_type(r);
    int form = !strcmp(type, "application/x-www-form-urlencoded");
    const aigw_error_t *error;
    aigw_login_fault_t fault = {0};
    apr_status_t rv;

    if (!form && *type && strcmp(type, "application/json")) {
        return type_error(r);
    }
    if ((error = aigw_auth_core->body_read(r, BODY_MAX, &login->data, &login->len)) != NULL) {
        login->data = NULL;
        return error;
    }
    login->room = apr_palloc(r->pool, login->len + 1);
    if (is_encoded(r)) { /* asked after the body is read: an input filter that decodes takes the field out */
        return type_error(r);
    }
    rv = (form ? aigw_login_body_form : aigw_login_body_json)(&login->body, login->data, login->len, login->room, r->pool, &fault);
    login->body.scope = apr_pstrdup(r->pool, login->body.scope); /* the room is wiped before the scope is looked at */
    return rv == APR_SUCCESS ? NULL : aigw_auth_core->error_make(r->pool, HTTP_BAD_REQUEST, fault.code, fault.param, "%s", fault.message);
}

/* ------------------------------------------------------------------ the password */

/* As mod_auth_basic asks them: the next one only where there is no such user. */
static authn_status ask_providers(login_t *login)
{
    const authn_provider_list *one;
    request_rec *r = login->r;
    authn_status status = AUTH_GENERAL_ERROR;

    for (one = login->conf->providers; one; one = one->next) {
        apr_table_setn(r->notes, AUTHN_PROVIDER_NAME_NOTE, one->provider_name); /* mod_authn_socache goes by it */
        login->provider = one->provider_name;
        status = one->provider->check_password(r, login->body.username, login->body.password);
        apr_table_unset(r->notes, AUTHN_PROVIDER_NAME_NOTE);
        if (status != AUTH_USER_NOT_FOUND) {
            break;
        }
    }
    return status;
}

/* A provider may say what the user is really called (AuthLDAPRemoteUserAttribute); it does so in r->user. */
static authn_status check_password(login_t *login)
{
    request_rec *r = login->r;
    char *user = r->user, *type = r->ap_auth_type;
    authn_status status;

    r->user = apr_pstrdup(r->pool, login->body.username);
    status = ask_providers(login);
    if (status == AUTH_GRANTED) {
        login->subject = r->user && aigw_names_valid(r->user, strlen(r->user)) ? r->user : login->body.username;
        login->subject = apr_pstrdup(r->pool, login->subject);
    }
    r->user = user; /* what somebody typed into the field is not for the access log */
    r->ap_auth_type = type;
    return status;
}

/* ------------------------------------------------------------------ the token */

static const char *tier_of(const login_t *login)
{
    const char *tier = aigw_tiers_find(login->r->server, login->r->pool, login->subject), *why = NULL;

    if (!tier && login->conf->tier) {
        tier = ap_expr_str_exec(login->r, login->conf->tier, &why);
        if (why || !tier || !aigw_names_valid(tier, strlen(tier))) {
            return NULL;
        }
    }
    return tier;
}

/* The names of the location; of these, those that the client asks for, if it does. In the pool; NULL: none. */
static const char *scope_of(const login_t *login)
{
    apr_pool_t *p = login->r->pool;
    const apr_array_header_t *given = login->conf->scopes;
    apr_array_header_t *asked;
    char *list, *last, *word;

    if (!given || !login->body.scope) {
        return given ? apr_array_pstrcat(p, given, ' ') : NULL;
    }
    asked = apr_array_make(p, 4, sizeof(const char *));
    list = apr_pstrdup(p, login->body.scope);
    for (word = apr_strtok(list, " ", &last); word; word = apr_strtok(NULL, " ", &last)) {
        if (aigw_names_have(given, word) && !aigw_names_have(asked, word)) {
            APR_ARRAY_PUSH(asked, const char *) = word;
        }
    }
    return asked->nelts ? apr_array_pstrcat(p, asked, ' ') : "";
}

static int set(json_t *claims, const char *name, const char *value)
{
    return value && json_object_set_new(claims, name, aigw_text_json(value, strlen(value)));
}

/* Under the names by which the issuer's own tokens are read. NULL: no memory, or no random bytes. */
static json_t *make_claims(const login_t *login, const char *scope)
{
    unsigned char random[JTI_BYTES];
    json_t *claims = apr_generate_random_bytes(random, sizeof random) == APR_SUCCESS ? json_object() : NULL;
    apr_int64_t now = apr_time_sec(apr_time_now());

    if (!claims || set(claims, "sub", login->subject) || set(claims, login->issuer->user_claim, login->subject) ||
        set(claims, login->issuer->tier_claim, tier_of(login)) || set(claims, login->issuer->scopes_claim, scope) ||
        set(claims, "jti", apr_pescape_hex(login->r->pool, random, sizeof random, 0)) ||
        json_object_set_new(claims, "iat", json_integer(now)) ||
        json_object_set_new(claims, "exp", json_integer(now + apr_time_sec(login->conf->lifetime)))) {
        json_decref(claims);
        return NULL;
    }
    return claims;
}

/* The text of the answer; NULL: there is no token, which has been logged. */
static const char *make_answer(const login_t *login)
{
    request_rec *r = login->r;
    const char *scope = scope_of(login);
    json_t *claims = make_claims(login, scope), *answer;
    const char *token = claims ? aigw_issuer_sign(login->issuer, claims, r->pool) : NULL, *text = NULL;

    if (token) {
        answer = json_pack("{s:s,s:s,s:I}", "access_token", token, "token_type", "bearer", "expires_in",
                           (json_int_t)apr_time_sec(login->conf->lifetime));
        if (answer && login->body.scope) { /* RFC 6749, section 5.1: where it may not be what was asked for */
            set(answer, "scope", scope ? scope : "");
        }
        text = aigw_endpoint_text(r, answer);
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0369: logged in: %s, by %s: the token %s",
                      aigw_text_shown(r->pool, login->subject, SHOWN_NAME), login->provider,
                      json_string_value(json_object_get(claims, "jti")));
    }
    else {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "AIGW0367: no token could be made or signed for somebody whose password was right");
    }
    json_decref(claims);
    return text;
}

/* ------------------------------------------------------------------ one login */

static aigw_error_t *make_error(request_rec *r, int status, const char *code, apr_interval_time_t retry_after, const char *message)
{
    aigw_error_t *error = aigw_auth_core->error_make(r->pool, status, code, NULL, "%s", message);

    error->retry_after = retry_after;
    return error;
}

/* Which it was is for the log alone. A name that nobody has is not written there: it may be a password, in the wrong field. */
static const aigw_error_t *refuse(const login_t *login, authn_status status)
{
    request_rec *r = login->r;

    switch (status) {
    case AUTH_DENIED:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0361: a login is refused: the password of %s is wrong, says %s",
                      aigw_text_shown(r->pool, login->body.username, SHOWN_NAME), login->provider);
        break;
    case AUTH_USER_NOT_FOUND:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "AIGW0362: a login is refused: there is no such user");
        break;
    default:
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "AIGW0363: a login cannot be decided: the provider %s has failed",
                      login->provider ? login->provider : "file (of mod_authn_file, which is not loaded)");
        return make_error(r, HTTP_SERVICE_UNAVAILABLE, "store_unavailable", 0, "Passwords cannot be checked at the moment.");
    }
    return make_error(r, HTTP_UNAUTHORIZED, "invalid_credentials", 0, "The user name or the password is wrong.");
}

static aigw_outcome_e outcome_of(authn_status status)
{
    return status == AUTH_GRANTED                                   ? AIGW_ATTEMPT_SUCCEEDED
           : status == AUTH_DENIED || status == AUTH_USER_NOT_FOUND ? AIGW_ATTEMPT_FAILED
                                                                    : AIGW_ATTEMPT_VOID;
}

/* Everything that takes a time of its own comes before the wait; after it all answers are alike. */
static void wait_until(apr_time_t due)
{
    apr_time_t now;

    while ((now = aigw_clock_now()) < due) {
        apr_sleep(due - now);
    }
}

/* Who holds a place: NULL and *text, or the error. */
static const aigw_error_t *decide(login_t *login, aigw_attempt_t *attempt, const char **text)
{
    request_rec *r = login->r;
    authn_status status = check_password(login);
    const aigw_error_t *error = status == AUTH_GRANTED ? NULL : refuse(login, status);
    apr_time_t due;
    int risen;

    wipe(login);
    if (!error && (*text = make_answer(login)) == NULL) {
        error = make_error(r, HTTP_INTERNAL_SERVER_ERROR, "internal_error", 0, "The token could not be made.");
    }
    due = aigw_attempt_decided(attempt, outcome_of(status), login->conf->floor, &risen);
    if (risen) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "AIGW0366: a password was checked in %" APR_TIME_T_FMT " ms, longer than AIGWLoginFloor (%" APR_TIME_T_FMT
                      " ms): all logins are now answered later, so that nobody sees which users there are",
                      apr_time_as_msec(aigw_clock_now() - attempt->began), apr_time_as_msec(login->conf->floor));
    }
    wait_until(due);
    aigw_attempt_end(attempt);
    return error;
}

static const aigw_error_t *try_to(login_t *login, const char **text)
{
    request_rec *r = login->r;
    aigw_attempt_t attempt;
    apr_interval_time_t wait = 0;

    switch (aigw_attempt_begin(&attempt, r, login->body.username, login->conf->limits, &wait)) {
    case AIGW_ATTEMPT_MAY:
        return decide(login, &attempt, text);
    case AIGW_ATTEMPT_THROTTLED:
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "AIGW0364: a login is refused: too many have failed, from this address or of this user");
        return make_error(r, HTTP_TOO_MANY_REQUESTS, "rate_limit_exceeded", wait, "Too many logins have failed. Try again later.");
    default:
        return make_error(r, HTTP_TOO_MANY_REQUESTS, "concurrency_limit_exceeded", apr_time_from_sec(1),
                          "Too many are logging in at the same time. Try again in a moment.");
    }
}

static const aigw_error_t *run(login_t *login, const char **text)
{
    request_rec *r = login->r;
    const aigw_error_t *error;

    login->conf = aigw_login_conf_get(r);
    login->issuer = aigw_issuer_find(r->server, login->conf->issuer);
    if (!login->issuer) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "AIGW0360: nobody can log in here: there is no AIGWLoginIssuer");
        return make_error(r, HTTP_INTERNAL_SERVER_ERROR, "internal_error", 0, "Nobody can log in here.");
    }
    error = read_body(login);
    return error ? error : try_to(login, text);
}

static int login_handler(request_rec *r)
{
    login_t login = {.r = r};
    const aigw_error_t *error;
    const char *text = NULL;
    int rc;

    if (!aigw_endpoint_is(r, "aigw-login")) {
        return DECLINED;
    }
    if (aigw_endpoint_refused(r, 0, &rc)) {
        return rc;
    }
    error = run(&login, &text);
    wipe(&login);
    if (error) {
        return aigw_auth_core->error_send(r, error);
    }
    r->user = (char *)login.subject; /* for the access log */
    return aigw_endpoint_answer(r, text);
}

void aigw_login_register(apr_pool_t *p)
{
    ap_hook_handler(login_handler, NULL, NULL, APR_HOOK_MIDDLE);
}
