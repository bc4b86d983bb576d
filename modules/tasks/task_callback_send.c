#include "task_callback_send.h"
#include "aigw_address.h"
#include "aigw_version.h"

#include <apr_strings.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX     (64 * 1024) /* bytes of an answer that nobody reads: more are not waited for */
#define CONNECT_MS_MAX 5000

struct aigw_callback_send_t {
    CURL *easy;
    struct curl_slist *fields;
    const aigw_callback_conf_t *conf;
    void *baton;
    char *body;
    apr_size_t len, answer, headers;
    const char *closed; /* what an address is that was not called; NULL: there was none */
    char address[64];   /* that one */
    char why[CURL_ERROR_SIZE + 128], detail[CURL_ERROR_SIZE];
};

/* ------------------------------------------------------------------ where to */

static void show_address(aigw_callback_send_t *send, const struct curl_sockaddr *address)
{
    if (getnameinfo(&address->addr, address->addrlen, send->address, sizeof send->address, NULL, 0, NI_NUMERICHOST)) {
        apr_cpystrn(send->address, "?", sizeof send->address);
    }
}

/* libcurl has resolved the name, and will connect to just this address: what the name means at another time does not matter. */
static curl_socket_t open_socket(void *baton, curlsocktype purpose, struct curl_sockaddr *address)
{
    aigw_callback_send_t *send = baton;
    const char *name;
    const aigw_address_e kind = aigw_address_kind(&address->addr, &name);

    if (kind == AIGW_ADDRESS_PUBLIC || (kind == AIGW_ADDRESS_PRIVATE && send->conf->allow_private) ||
        aigw_address_in(send->conf->networks, &address->addr)) {
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    }
    send->closed = name;
    show_address(send, address);
    return CURL_SOCKET_BAD;
}

/* ------------------------------------------------------------------ what comes back */

static size_t drop_answer(char *data, size_t size, size_t n, void *baton)
{
    aigw_callback_send_t *send = baton;

    send->answer += size * n;
    return send->answer > ANSWER_MAX ? 0 : size * n;
}

static size_t count_header(char *data, size_t size, size_t n, void *baton)
{
    aigw_callback_send_t *send = baton;

    send->headers += size * n; /* libcurl keeps them all */
    return send->headers > ANSWER_MAX ? 0 : size * n;
}

/* ------------------------------------------------------------------ the request */

static int add(aigw_callback_send_t *send, const char *field)
{
    struct curl_slist *longer = field ? curl_slist_append(send->fields, field) : NULL;

    send->fields = longer ? longer : send->fields;
    return longer ? 0 : -1;
}

static int sign(aigw_callback_send_t *send, apr_pool_t *p, const aigw_callback_secret_t *secret, const char *id)
{
    const apr_int64_t now = apr_time_sec(apr_time_now());
    const char *signatures = aigw_webhook_sign(p, secret->keys, secret->nkeys, id, now, send->body, send->len);

    return add(send, "Content-Type: application/json") || add(send, "Expect:") || add(send, apr_pstrcat(p, "webhook-id: ", id, NULL)) ||
           add(send, apr_psprintf(p, "webhook-timestamp: %" APR_INT64_T_FMT, now)) || !signatures ||
           add(send, apr_pstrcat(p, "webhook-signature: ", signatures, NULL));
}

static int set_up(aigw_callback_send_t *send, const char *url)
{
    const aigw_callback_conf_t *conf = send->conf;
    const long total = (long)apr_time_as_msec(conf->timeout);
    CURL *easy = send->easy;
    int bad = 0;

#define SET(option, value) bad |= curl_easy_setopt(easy, option, value) != CURLE_OK
    SET(CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* whoever may be called could send us to whoever may not */
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, send);
    SET(CURLOPT_PROXY,
        ""); /* what httpd's environment says of proxies is not its configuration; and a proxy would resolve the name itself */
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (conf->ca) {
        SET(CURLOPT_CAINFO, conf->ca);
        SET(CURLOPT_CAPATH, NULL); /* instead of the system's, not beside them */
    }
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "mod_aigw/" AIGW_VERSION);
    SET(CURLOPT_HTTPHEADER, send->fields);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)send->len);
    SET(CURLOPT_POSTFIELDS, send->body); /* not copied */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, total < CONNECT_MS_MAX ? total : (long)CONNECT_MS_MAX);
    SET(CURLOPT_TIMEOUT_MS, total);
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT,
        1L); /* a resolver that hangs is left to itself: waiting for it would outlast every time-out, and the child's end */
#endif
    SET(CURLOPT_WRITEFUNCTION, drop_answer);
    SET(CURLOPT_WRITEDATA, send);
    SET(CURLOPT_HEADERFUNCTION, count_header);
    SET(CURLOPT_HEADERDATA, send);
    SET(CURLOPT_PRIVATE, send);
    SET(CURLOPT_ERRORBUFFER, send->detail);
#undef SET
    return bad;
}

aigw_callback_send_t *aigw_callback_send_begin(CURLM *multi, apr_pool_t *p, const aigw_callback_conf_t *conf,
                                               const aigw_callback_url_t *url, const char *id, char *body, apr_size_t len, void *baton)
{
    aigw_callback_send_t *send = calloc(1, sizeof *send);

    if (!send) {
        free(body);
        return NULL;
    }
    send->conf = conf;
    send->baton = baton;
    send->body = body;
    send->len = len;
    send->easy = curl_easy_init();
    if (!send->easy || sign(send, p, aigw_callback_conf_secret(conf, url), id) || set_up(send, url->text) ||
        curl_multi_add_handle(multi, send->easy) != CURLM_OK) {
        aigw_callback_send_free(send, NULL);
        return NULL;
    }
    return send;
}

/* ------------------------------------------------------------------ the end */

void *aigw_callback_send_baton(CURL *easy)
{
    aigw_callback_send_t *send = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&send);
    return send->baton;
}

apr_size_t aigw_callback_send_size(const aigw_callback_send_t *send)
{
    return send->len;
}

static void say_no_answer(aigw_callback_send_t *send, CURLcode code)
{
    if (send->closed && (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT)) {
        snprintf(send->why, sizeof send->why, "its address %s is %s: see AIGWCallbackNetwork", send->address, send->closed);
    }
    else {
        snprintf(send->why, sizeof send->why, "%s%s%s%s%s", curl_easy_strerror(code), *send->detail ? " (" : "", send->detail,
                 *send->detail ? ")" : "", code == CURLE_PEER_FAILED_VERIFICATION ? "; a CA of your own is named with AIGWCallbackCA" : "");
    }
}

aigw_callback_end_e aigw_callback_send_result(aigw_callback_send_t *send, CURLcode code, const char **why, apr_interval_time_t *retry_after)
{
    long status = 0;
    curl_off_t seconds = 0;

    *why = send->why;
    *retry_after = 0;
    curl_easy_getinfo(send->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) { /* the status says it all, however the answer ended */
        say_no_answer(send, code);
        return AIGW_CALLBACK_FAILED;
    }
    snprintf(send->why, sizeof send->why, "the receiver's status is %ld%s", status,
             status >= 300 && status < 400 ? ", and redirects are not followed" : "");
    if ((status == 429 || status == 503) && curl_easy_getinfo(send->easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0) {
        *retry_after = apr_time_from_sec(seconds < 30 * 24 * 3600 ? seconds : 30 * 24 * 3600);
    }
    return status < 300 ? AIGW_CALLBACK_ARRIVED : status == 410 ? AIGW_CALLBACK_UNWANTED : AIGW_CALLBACK_FAILED;
}

void aigw_callback_send_free(aigw_callback_send_t *send, CURLM *multi)
{
    if (multi) {
        curl_multi_remove_handle(multi, send->easy);
    }
    curl_easy_cleanup(send->easy);
    curl_slist_free_all(send->fields);
    free(send->body);
    free(send);
}
