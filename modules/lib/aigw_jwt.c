#include "aigw_jwt.h"
#include "aigw_base64url.h"
#include "aigw_jws.h"

#include <apr_cstr.h>
#include <apr_strings.h>

#include <string.h>

#define TIME_MAX 253402300799.0 /* seconds: the end of the year 9999 */

int aigw_jwt_looks_like(const char *token, apr_size_t len)
{
    const char *dot = memchr(token, '.', len);

    return dot && memchr(dot + 1, '.', len - (apr_size_t)(dot + 1 - token)) && strncmp(token, "aigw_", 5) != 0;
}

/* ------------------------------------------------------------------ the form */

/* One part, decoded; NULL: it is empty, or no base64url. */
static const char *decode(apr_pool_t *p, const char *part, apr_size_t *len)
{
    return *part ? (const char *)aigw_base64url_decode(p, part, strlen(part), len) : NULL;
}

static apr_status_t release(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

static json_t *decode_object(apr_pool_t *p, const char *part)
{
    apr_size_t len;
    const char *text = decode(p, part, &len);
    json_t *json = text ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (json) {
        apr_pool_cleanup_register(p, json, release, apr_pool_cleanup_null);
    }
    return json_is_object(json) ? json : NULL;
}

/* ------------------------------------------------------------------ the header */

static const char *read_header(apr_pool_t *p, const json_t *header, aigw_jwt_t *jwt)
{
    const char *alg = json_string_value(json_object_get(header, "alg")), *typ = json_string_value(json_object_get(header, "typ"));
    const json_t *kid = json_object_get(header, "kid");

    if (json_object_get(header, "crit")) {
        return "its header has crit: it asks for an extension, and none is known here";
    }
    if (json_object_get(header, "b64") || json_object_get(header, "zip") || json_object_get(header, "enc")) {
        return "its header has b64, zip or enc: it is no plain signed token";
    }
    if (json_object_get(header, "typ") && (!typ || apr_cstr_casecmp(typ, "JWT") != 0)) {
        return "its typ is not JWT";
    }
    if (kid && !json_is_string(kid)) {
        return "its kid is no string";
    }
    jwt->kid = kid ? apr_pstrdup(p, json_string_value(kid)) : NULL;
    jwt->alg = alg ? aigw_jws_alg(alg) : 0;
    return jwt->alg ? NULL : "its alg is none, or not one of HS, RS, ES with 256, 384, 512";
}

/* ------------------------------------------------------------------ the claims */

static int is_audience(const json_t *aud)
{
    size_t i;

    for (i = 0; i < json_array_size(aud); i++) {
        if (!json_is_string(json_array_get(aud, i))) {
            return 0;
        }
    }
    return !aud || json_is_string(aud) || json_is_array(aud);
}

static int is_absent_or_number(const json_t *claims, const char *name)
{
    const json_t *claim = json_object_get(claims, name);

    return !claim || json_is_number(claim);
}

static int is_absent_or_string(const json_t *claims, const char *name)
{
    const json_t *claim = json_object_get(claims, name);

    return !claim || (json_is_string(claim) && json_string_length(claim));
}

static const char *read_claims(apr_pool_t *p, json_t *claims, aigw_jwt_t *jwt)
{
    if (!is_absent_or_string(claims, "iss") || !is_absent_or_string(claims, "sub") || !is_absent_or_string(claims, "jti") ||
        !is_audience(json_object_get(claims, "aud"))) {
        return "iss, sub, jti or aud is not what it has to be (RFC 7519, section 4.1)";
    }
    if (!is_absent_or_number(claims, "exp") || !is_absent_or_number(claims, "nbf") || !is_absent_or_number(claims, "iat")) {
        return "exp, nbf or iat is no number";
    }
    jwt->claims = claims;
    jwt->issuer = apr_pstrdup(p, json_string_value(json_object_get(claims, "iss")));
    jwt->jti = apr_pstrdup(p, json_string_value(json_object_get(claims, "jti")));
    return NULL;
}

const char *aigw_jwt_parse(apr_pool_t *p, const char *token, apr_size_t len, aigw_jwt_t *jwt)
{
    char *head, *body, *signature;
    json_t *header, *claims;
    apr_size_t n;
    const char *fault;

    memset(jwt, 0, sizeof *jwt);
    if (len > AIGW_JWT_MAX) {
        return "it is longer than 8192 bytes";
    }
    if (memchr(token, '\0', len)) {
        return "it is not three parts of base64url";
    }
    head = apr_pstrmemdup(p, token, len);
    jwt->text = apr_pstrmemdup(p, token, len);
    body = strchr(head, '.');
    signature = body ? strchr(body + 1, '.') : NULL;
    if (!signature || strchr(signature + 1, '.')) {
        return "it is not three parts";
    }
    *body++ = '\0';
    *signature++ = '\0';
    if ((header = decode_object(p, head)) == NULL || (claims = decode_object(p, body)) == NULL) {
        return "its header or its claims are no JSON object in base64url, or have a name twice";
    }
    if ((fault = read_header(p, header, jwt)) != NULL || (fault = read_claims(p, claims, jwt)) != NULL) {
        return fault;
    }
    return decode(p, signature, &n) ? NULL : "its signature is no base64url";
}

/* ------------------------------------------------------------------ what they say */

/* Seconds since 1970, also with a fraction. */
static int read_time(const json_t *claims, const char *name, double *seconds)
{
    const json_t *claim = json_object_get(claims, name);

    *seconds = json_number_value(claim);
    return claim != NULL;
}

static int has_audience(const json_t *aud, const apr_array_header_t *audiences)
{
    size_t n = json_is_array(aud) ? json_array_size(aud) : 1, i;
    int k;

    for (i = 0; aud && i < n; i++) {
        const char *name = json_string_value(json_is_array(aud) ? json_array_get(aud, i) : aud);

        for (k = 0; name && k < audiences->nelts; k++) {
            if (!strcmp(name, APR_ARRAY_IDX(audiences, k, const char *))) {
                return 1;
            }
        }
    }
    return 0;
}

aigw_jwt_e aigw_jwt_check(const json_t *claims, const aigw_jwt_rules_t *rules, apr_time_t *expires)
{
    double now = (double)rules->now / APR_USEC_PER_SEC, skew = (double)rules->skew / APR_USEC_PER_SEC, t;

    *expires = 0;
    if (!read_time(claims, "exp", &t) || !(t > 0) || t > TIME_MAX) {
        return AIGW_JWT_TIMELESS;
    }
    *expires = (apr_time_t)(t * APR_USEC_PER_SEC);
    if (now >= t + skew) {
        return AIGW_JWT_EXPIRED;
    }
    if ((read_time(claims, "nbf", &t) && t > now + skew) || (read_time(claims, "iat", &t) && t > now + skew)) {
        return AIGW_JWT_EARLY;
    }
    if (rules->audiences && !has_audience(json_object_get(claims, "aud"), rules->audiences)) {
        return AIGW_JWT_AUDIENCE;
    }
    return AIGW_JWT_GOOD;
}

const json_t *aigw_jwt_claim(const json_t *claims, const char *name)
{
    const json_t *found = json_object_get(claims, name);
    const char *dot;

    while (!found && (dot = strchr(name, '.')) != NULL) {
        claims = json_object_getn(claims, name, (size_t)(dot - name));
        name = dot + 1;
        found = json_object_get(claims, name);
    }
    return found;
}

/* ------------------------------------------------------------------ names */

/* A name goes to logs, headers and environment variables: no control characters, C1 as well. */
static int is_clean(const char *s, apr_size_t n)
{
    apr_size_t i;

    for (i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];

        if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < n && (unsigned char)s[i + 1] < 0xa0)) {
            return 0;
        }
    }
    return n > 0 && n <= 256;
}

const char *aigw_jwt_name(apr_pool_t *p, const json_t *claim)
{
    if (json_is_integer(claim)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(claim));
    }
    return json_is_string(claim) && is_clean(json_string_value(claim), json_string_length(claim)) ? apr_pstrdup(p, json_string_value(claim))
                                                                                                  : NULL;
}

static apr_array_header_t *split(apr_pool_t *p, const char *text)
{
    apr_array_header_t *names = apr_array_make(p, 4, sizeof(const char *));
    char *last, *name = apr_strtok(apr_pstrdup(p, text), " ", &last);

    for (; name; name = apr_strtok(NULL, " ", &last)) {
        if (is_clean(name, strlen(name))) {
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
    return names;
}

apr_array_header_t *aigw_jwt_names(apr_pool_t *p, const json_t *claim)
{
    apr_array_header_t *names;
    size_t i;

    if (json_is_string(claim)) {
        return split(p, json_string_value(claim));
    }
    if (!json_is_array(claim)) {
        return NULL;
    }
    names = apr_array_make(p, (int)json_array_size(claim), sizeof(const char *));
    for (i = 0; i < json_array_size(claim); i++) {
        const char *name = aigw_jwt_name(p, json_array_get(claim, i));

        if (name) {
            APR_ARRAY_PUSH(names, const char *) = name;
        }
    }
    return names;
}
