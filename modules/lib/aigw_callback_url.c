#include "aigw_callback_url.h"
#include "aigw_origin.h"

#include <apr_strings.h>

#include <string.h>
#include <strings.h>

#define NO_URL "must be an https URL with a host, such as https://hooks.example.com/aigw; without a user, a password and a fragment"

static int is_http(const char *s)
{
    return !strncasecmp(s, "https://", 8) || !strncasecmp(s, "http://", 7);
}

/* RFC 3986 has no other characters, and readers of URLs do not agree on what to do with them. */
static int is_plain(const char *s)
{
    for (; *s; s++) {
        if (*s <= ' ' || *s > '~' || strchr("\"<>\\^`{|}#", *s)) {
            return 0;
        }
    }
    return 1;
}

const char *aigw_callback_url_read(apr_pool_t *p, const char *written, aigw_callback_url_t *url)
{
    const char *host, *rest;
    aigw_origin_t origin;

    if (strlen(written) > AIGW_CALLBACK_URL_MAX) {
        return "must not be longer than 2,048 bytes";
    }
    if (!is_http(written) || !is_plain(written)) {
        return NO_URL;
    }
    host = strstr(written, "://") + 3;
    rest = host + strcspn(host, "/?");
    if (aigw_origin_read(&origin, apr_pstrmemdup(p, written, (apr_size_t)(rest - written)), p) || origin.kind != AIGW_ORIGIN_EXACT) {
        return NO_URL;
    }
    url->origin = origin.text;
    url->text = apr_pstrcat(p, origin.text, *rest == '/' ? "" : "/", rest, NULL);
    return NULL;
}

const char *aigw_callback_list_add(apr_pool_t *p, aigw_callback_list_t *list, const char *written)
{
    const char *text = strstr(written, "://") ? written : apr_pstrcat(p, "https://", written, NULL), *wrong;
    aigw_origin_t origin;

    if (!strcmp(written, "*")) {
        list->any = 1;
        return NULL;
    }
    if (!is_http(text)) {
        return apr_psprintf(p, "\"%s\": callbacks are sent by https or http", written);
    }
    if ((wrong = aigw_origin_read(&origin, text, p))) {
        return wrong;
    }
    if (!list->origins) {
        list->origins = apr_array_make(p, 4, sizeof(aigw_origin_t));
    }
    APR_ARRAY_PUSH(list->origins, aigw_origin_t) = origin;
    return NULL;
}

int aigw_callback_list_has(const aigw_callback_list_t *list, const aigw_callback_url_t *url)
{
    const char *port = strrchr(url->origin, ':');

    if (list->origins && aigw_origins_have(list->origins, url->origin)) {
        return 1;
    }
    /* the colon of "https:" is the only one, or that of an IPv6 address comes last */
    return list->any && !strncmp(url->origin, "https://", 8) && (port == url->origin + 5 || strchr(port, ']'));
}

int aigw_callback_list_is_empty(const aigw_callback_list_t *list)
{
    return !list->any && !list->origins;
}
