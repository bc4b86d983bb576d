#include "jwks_fetch.h"
#include "aigw_jwks.h"
#include "aigw_version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX    (64 * 1024) /* bytes: libcurl keeps them all */
#define CONNECT_MS_MAX 2000

struct aigw_jwks_fetch_t {
    CURL *easy;
    struct curl_slist *fields;
    void *baton;
    char *body;
    apr_size_t len, headers;
    int too_large;
    char reason[CURL_ERROR_SIZE + 64], detail[CURL_ERROR_SIZE];
};

static size_t take_body(char *data, size_t size, size_t n, void *baton)
{
    aigw_jwks_fetch_t *fetch = baton;

    n *= size;
    if (n > AIGW_JWKS_BYTES_MAX - fetch->len) {
        fetch->too_large = 1;
        return 0;
    }
    memcpy(fetch->body + fetch->len, data, n);
    fetch->len += n;
    return n;
}

static size_t count_header(char *data, size_t size, size_t n, void *baton)
{
    aigw_jwks_fetch_t *fetch = baton;

    fetch->headers += size * n;
    fetch->too_large |= fetch->headers > HEADERS_MAX;
    return fetch->too_large ? 0 : size * n;
}

static int set_up(aigw_jwks_fetch_t *fetch, const char *url, const aigw_jwks_conf_t *conf)
{
    const long total = (long)apr_time_as_msec(conf->timeout);
    CURL *easy = fetch->easy;
    int bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "https");
#else
    SET(CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    /* the address in the configuration is the one that has the keys: an issuer's redirect could lead anywhere, to the machine's own network too */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (conf->ca_file) {
        SET(CURLOPT_CAINFO, conf->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* instead of the system's, not beside them */
    }
    SET(CURLOPT_PROXY, ""); /* what httpd's environment says of proxies is not its configuration */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "mod_aigw/" AIGW_VERSION);
    SET(CURLOPT_HTTPHEADER, fetch->fields);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, total < CONNECT_MS_MAX ? total : (long)CONNECT_MS_MAX);
    SET(CURLOPT_TIMEOUT_MS, total);
    SET(CURLOPT_MAXFILESIZE, (long)AIGW_JWKS_BYTES_MAX); /* what the answer announces; take_body() sees to the rest */
    SET(CURLOPT_FORBID_REUSE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT,
        1L); /* a resolver that hangs is left to itself: waiting for it would outlast every time-out, and the child's end (jwks_keeper.c, aigw_pin) */
#endif
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, fetch);
    SET(CURLOPT_HEADERFUNCTION, count_header);
    SET(CURLOPT_HEADERDATA, fetch);
    SET(CURLOPT_PRIVATE, fetch);
    SET(CURLOPT_ERRORBUFFER, fetch->detail);
#undef SET
    return bad;
}

aigw_jwks_fetch_t *aigw_jwks_fetch_begin(CURLM *multi, const char *url, const aigw_jwks_conf_t *conf, void *baton)
{
    aigw_jwks_fetch_t *fetch = calloc(1, sizeof *fetch);

    if (!fetch) {
        return NULL;
    }
    fetch->baton = baton;
    fetch->body = malloc(AIGW_JWKS_BYTES_MAX);
    fetch->easy = curl_easy_init();
    fetch->fields = curl_slist_append(NULL, "Accept: application/jwk-set+json, application/json");
    if (!fetch->body || !fetch->easy || !fetch->fields || set_up(fetch, url, conf) ||
        curl_multi_add_handle(multi, fetch->easy) != CURLM_OK) {
        aigw_jwks_fetch_free(fetch, NULL);
        return NULL;
    }
    return fetch;
}

void *aigw_jwks_fetch_baton(CURL *easy)
{
    aigw_jwks_fetch_t *fetch = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&fetch);
    return fetch->baton;
}

const char *aigw_jwks_fetch_result(aigw_jwks_fetch_t *fetch, CURLcode code, apr_size_t *len, const char **reason, const char **detail)
{
    long status = 0;

    *reason = fetch->reason;
    *detail = "";
    *len = fetch->len;
    if (fetch->too_large || code == CURLE_FILESIZE_EXCEEDED) {
        *reason = "the answer is larger than 256 KiB";
        return NULL;
    }
    if (code != CURLE_OK) {
        snprintf(fetch->reason, sizeof fetch->reason, "%s%s", curl_easy_strerror(code),
                 code == CURLE_PEER_FAILED_VERIFICATION ? " (a CA of your own is named with AIGWJwksCAFile)" : "");
        *detail = fetch->detail;
        return NULL;
    }
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        snprintf(fetch->reason, sizeof fetch->reason, "the answer's status is %ld, not 200%s", status,
                 status >= 300 && status < 400 ? ", and redirects are not followed: write the final address" : "");
        return NULL;
    }
    return fetch->body;
}

void aigw_jwks_fetch_free(aigw_jwks_fetch_t *fetch, CURLM *multi)
{
    if (multi) {
        curl_multi_remove_handle(multi, fetch->easy);
    }
    curl_easy_cleanup(fetch->easy);
    curl_slist_free_all(fetch->fields);
    free(fetch->body);
    free(fetch);
}
