#include "aigw_origin.h"

#include <apr_strings.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX  253 /* RFC 1035 */
#define LABEL_MAX 63
#define LOWER     "abcdefghijklmnopqrstuvwxyz"
#define DIGITS    "0123456789"

/* not isalnum() and tolower(): what they say depends on the locale */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char *lowered(apr_pool_t *p, const char *s, apr_size_t len)
{
    char *copy = apr_pstrmemdup(p, s, len), *at;

    for (at = copy; *at; at++) {
        *at = lower(*at);
    }
    return copy;
}

/* ------------------------------------------------------------------ names of hosts */

/* Labels of lower case letters, digits, "-" and "_" between dots, none of them empty. */
static int are_labels(const char *s, apr_size_t len)
{
    apr_size_t i, label = 0;

    for (i = 0; i < len; i++) {
        if (s[i] == '.') {
            if (!label) {
                return 0;
            }
            label = 0;
        }
        else if (!s[i] || !strchr(LOWER DIGITS "-_", s[i]) || ++label > LABEL_MAX) {
            return 0;
        }
    }
    return label > 0;
}

/* Such a name is an IPv4 address to a browser, or no host at all. */
static int ends_in_number(const char *host)
{
    const char *last = strrchr(host, '.');

    last = last ? last + 1 : host;
    return !strncmp(last, "0x", 2) ? !last[2 + strspn(last + 2, DIGITS "abcdef")] : !last[strspn(last, DIGITS)];
}

/* NULL, or what is wrong with it. */
static const char *check_name(const char *host, int subdomains)
{
    const char *c;
    struct in_addr address;

    for (c = host; *c; c++) {
        if ((unsigned char)*c >= 0x80) {
            return "write the name in ASCII, as browsers send it, with xn--";
        }
    }
    if (strchr(host, '*')) {
        return "* stands for whole names at the left end: write https://*.example.com, or * alone for every origin";
    }
    if (strlen(host) > HOST_MAX || !are_labels(host, strlen(host))) {
        return "the host is no name of labels of letters, digits and - with single dots between them";
    }
    if (ends_in_number(host)) {
        return subdomains                                ? "an address has no subdomains"
               : inet_pton(AF_INET, host, &address) == 1 ? NULL
                                                         : "the host is no IPv4 address, and no name either";
    }
    if (subdomains && !strchr(host, '.') && strcmp(host, "localhost")) {
        return "that is everybody under a top-level domain: write two names at least, https://*.example.com";
    }
    return NULL;
}

/* As the URL standard writes an IPv6 address: the first longest run of zeros becomes "::". inet_ntop() would write some with an IPv4 address in them. */
static const char *write_ipv6(apr_pool_t *p, const unsigned char bytes[16])
{
    int i, run = 0, best = 0, at = -1;
    char *out = apr_pstrdup(p, "[");

    for (i = 0; i < 8; i++) {
        run = bytes[2 * i] || bytes[2 * i + 1] ? 0 : run + 1;
        if (run > best) {
            best = run;
            at = i - run + 1;
        }
    }
    for (i = 0; i < 8; i++) {
        if (i == at && best > 1) {
            out = apr_pstrcat(p, out, "::", NULL);
            i += best - 1;
            continue;
        }
        out = apr_psprintf(p, "%s%s%x", out, i && out[strlen(out) - 1] != ':' ? ":" : "", (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
    return apr_pstrcat(p, out, "]", NULL);
}

/* ------------------------------------------------------------------ reading */

typedef struct parts_t {
    const char *scheme, *host; /* lower case; host of IPv6 in brackets; of a wildcard without "*." */
    int subdomains;
    const char *port; /* "" or ":8443" */
} parts_t;

static const char *read_scheme(parts_t *parts, const char *written, apr_pool_t *p, const char **rest)
{
    const char *end = strstr(written, "://");
    apr_size_t len = end ? (apr_size_t)(end - written) : 0;

    parts->scheme = lowered(p, written, len);
    if (!len || parts->scheme[strspn(parts->scheme, LOWER DIGITS "+-.")] || !strchr(LOWER, *parts->scheme)) {
        return apr_psprintf(p, "it begins with a scheme: write for example https://%s", end ? "app.example.com" : written);
    }
    if (!strcmp(parts->scheme, "ws") || !strcmp(parts->scheme, "wss")) {
        return apr_psprintf(p, "it is that of the page, whatever the page connects to: write %s://", parts->scheme[2] ? "https" : "http");
    }
    if (!strcmp(parts->scheme, "file")) {
        return "pages out of files have the origin null";
    }
    *rest = end + 3;
    return NULL;
}

static const char *read_end(const char *written, const char *rest, apr_pool_t *p)
{
    const char *end = rest + strcspn(rest, "/?#\\");

    if (strchr(rest, '@')) {
        return "it has no user and no password";
    }
    return *end ? apr_psprintf(p, "it has no path%s: write %.*s", end[1] ? "" : ", not even a slash", (int)(end - written), written) : NULL;
}

static const char *read_ipv6(parts_t *parts, const char *rest, apr_pool_t *p, const char **after)
{
    const char *end = strchr(rest, ']');
    struct in6_addr address;

    if (!end || inet_pton(AF_INET6, apr_pstrmemdup(p, rest + 1, (apr_size_t)(end - rest) - 1), &address) != 1) {
        return "between the brackets stands no IPv6 address";
    }
    parts->host = write_ipv6(p, address.s6_addr);
    *after = end + 1;
    return NULL;
}

static const char *read_host(parts_t *parts, const char *rest, apr_pool_t *p, const char **after)
{
    apr_size_t len = strcspn(rest, ":");

    if (*rest == '[') {
        return read_ipv6(parts, rest, p, after);
    }
    if (strchr(rest, ':') != strrchr(rest, ':')) {
        return "an IPv6 address stands in brackets: write http://[::1]:8080";
    }
    *after = rest + len;
    parts->subdomains = len > 2 && !strncmp(rest, "*.", 2);
    if (parts->subdomains) {
        rest += 2;
        len -= 2;
    }
    parts->host = lowered(p, rest, len);
    return len ? check_name(parts->host, parts->subdomains) : "the host is missing";
}

static const char *read_port(parts_t *parts, const char *s, apr_pool_t *p)
{
    int port = *s == ':' && s[1] && !s[1 + strspn(s + 1, DIGITS)] && strlen(s) <= 9 ? atoi(s + 1) : 0;

    parts->port = "";
    if (!*s) {
        return NULL;
    }
    if (port < 1 || port > 65535) {
        return "the port is no number from 1 to 65535";
    }
    if ((port != 80 || strcmp(parts->scheme, "http")) && (port != 443 || strcmp(parts->scheme, "https"))) {
        parts->port = apr_psprintf(p, ":%d", port); /* a default one is never sent */
    }
    return NULL;
}

static const char *read_parts(parts_t *parts, const char *written, apr_pool_t *p)
{
    const char *rest = NULL, *after = NULL, *wrong;

    if ((wrong = read_scheme(parts, written, p, &rest)) || (wrong = read_end(written, rest, p)) ||
        (wrong = read_host(parts, rest, p, &after))) {
        return wrong;
    }
    return read_port(parts, after, p);
}

static const char *literal(aigw_origin_t *origin, aigw_origin_e kind, const char *text)
{
    origin->kind = kind;
    origin->text = text;
    origin->len = strlen(text);
    return NULL;
}

const char *aigw_origin_read(aigw_origin_t *origin, const char *written, apr_pool_t *p)
{
    parts_t parts = {0};
    const char *wrong;

    memset(origin, 0, sizeof *origin);
    if (!strcmp(written, "*")) {
        return literal(origin, AIGW_ORIGIN_ANY, "*");
    }
    if (!strcmp(written, "null")) {
        return literal(origin, AIGW_ORIGIN_EXACT, "null");
    }
    if ((wrong = read_parts(&parts, written, p))) {
        return apr_psprintf(p, "\"%s\" is no origin: %s", written, wrong);
    }
    origin->scheme = strlen(parts.scheme) + 3;
    return literal(origin, parts.subdomains ? AIGW_ORIGIN_SUBDOMAINS : AIGW_ORIGIN_EXACT,
                   apr_pstrcat(p, parts.scheme, "://", parts.subdomains ? "." : "", parts.host, parts.port, NULL));
}

/* ------------------------------------------------------------------ comparing */

int aigw_origin_is_open(const aigw_origin_t *origin)
{
    return origin->kind == AIGW_ORIGIN_ANY || !strcmp(origin->text, "null");
}

/* text is "https://" and ".example.com:8443": between the two stand the subdomains. */
static int is_below(const aigw_origin_t *origin, const char *sent)
{
    apr_size_t len = strlen(sent), tail = origin->len - origin->scheme;
    const char *names = sent + origin->scheme;

    if (len <= origin->len || len > origin->scheme + HOST_MAX + sizeof ":65535" - 1 || memcmp(sent, origin->text, origin->scheme) ||
        strcmp(sent + len - tail, origin->text + origin->scheme)) {
        return 0;
    }
    return strcspn(names, ":") <= HOST_MAX && are_labels(names, len - origin->len);
}

int aigw_origins_have(const apr_array_header_t *origins, const char *sent)
{
    int i;

    for (i = 0; sent && i < origins->nelts; i++) {
        const aigw_origin_t *origin = &APR_ARRAY_IDX(origins, i, aigw_origin_t);

        if (origin->kind == AIGW_ORIGIN_ANY || (origin->kind == AIGW_ORIGIN_SUBDOMAINS && is_below(origin, sent)) ||
            (origin->kind == AIGW_ORIGIN_EXACT && !strcmp(origin->text, sent))) {
            return 1;
        }
    }
    return 0;
}
