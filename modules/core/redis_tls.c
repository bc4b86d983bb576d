#include "redis_tls.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

int aigw_redis_tls_is_built(void)
{
    return 1;
}

void aigw_redis_tls_forget_errors(void)
{
    ERR_clear_error();
}

/* The first in the queue is the cause; those behind it are what others made of it. */
const char *aigw_redis_tls_reason(void)
{
    unsigned long error = ERR_peek_error();

    ERR_clear_error();
    return error ? ERR_reason_error_string(error) : NULL;
}

/* ------------------------------------------------------------------ once */

static apr_status_t free_tls(void *data)
{
    aigw_redis_t *redis = data;

    SSL_CTX_free(redis->tls);
    redis->tls = NULL;
    return APR_SUCCESS;
}

/* Else OpenSSL would ask at the terminal. */
static int no_passphrase(char *buf, int size, int for_writing, void *data)
{
    return -1;
}

static const char *wrong_file(apr_pool_t *p, const char *what, const char *file)
{
    const unsigned long error = ERR_peek_error();
    const char *why = aigw_redis_tls_reason();
    char buf[120];

    if (ERR_SYSTEM_ERROR(error)) {
        why = apr_strerror(APR_FROM_OS_ERROR(ERR_GET_REASON(error)), buf, sizeof buf);
    }
    return apr_psprintf(p, "%s%s: %s", what, file, why ? why : "it cannot be read");
}

static const char *read_files(SSL_CTX *tls, const aigw_redis_t *redis, apr_pool_t *p)
{
    if (redis->ca ? !SSL_CTX_load_verify_locations(tls, redis->ca, NULL) : !SSL_CTX_set_default_verify_paths(tls)) {
        return wrong_file(p, "ca=", redis->ca ? redis->ca : " (OpenSSL's own)");
    }
    if (redis->cert && SSL_CTX_use_certificate_chain_file(tls, redis->cert) != 1) {
        return wrong_file(p, "cert=", redis->cert);
    }
    /* and whether it belongs to the certificate */
    if (redis->key && SSL_CTX_use_PrivateKey_file(tls, redis->key, SSL_FILETYPE_PEM) != 1) {
        return wrong_file(p, "key=", redis->key);
    }
    return NULL;
}

const char *aigw_redis_tls_make(aigw_redis_t *redis, apr_pool_t *pconf)
{
    SSL_CTX *tls;

    ERR_clear_error();
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || !SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION)) {
        SSL_CTX_free(tls);
        return "OpenSSL does not start";
    }
    redis->tls = tls;
    apr_pool_cleanup_register(pconf, redis, free_tls, apr_pool_cleanup_null);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
    return read_files(tls, redis, pconf);
}

/* ------------------------------------------------------------------ the handshake */

/* hiredis sets nothing of this. An address is not sent as a name, and stands in a certificate as an address. */
static int expect(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
}

/* A certificate, a version, a cipher that one of both does not take is a matter of configuration; that it went away is not. */
static void explain(const SSL *ssl, int error, aigw_redis_fault_t *fault)
{
    const long verdict = SSL_get_verify_result(ssl);
    const int gone = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    const char *why = aigw_redis_tls_reason();
    char buf[120];

    fault->rv = APR_ECONNREFUSED;
    fault->refused = 1;
    if (verdict != X509_V_OK) {
        apr_snprintf(fault->text, sizeof fault->text, "its certificate is not accepted: %s", X509_verify_cert_error_string(verdict));
        return;
    }
    fault->refused = why && !gone;
    apr_snprintf(fault->text, sizeof fault->text, "the TLS handshake failed: %s",
                 why     ? why
                 : error ? apr_strerror(APR_FROM_OS_ERROR(error), buf, sizeof buf)
                         : "it closed the connection");
}

struct ssl_st *aigw_redis_tls_begin(const aigw_redis_t *redis, redisContext *context, aigw_redis_fault_t *fault)
{
    SSL *ssl = SSL_new(redis->tls);

    if (!ssl || !expect(ssl, redis->host)) {
        SSL_free(ssl);
        fault->rv = APR_ECONNREFUSED;
        apr_cpystrn(fault->text, "no TLS: out of memory", sizeof fault->text);
        return NULL;
    }
    ERR_clear_error();
    errno = 0;
    if (redisInitiateSSL(context, ssl) != REDIS_OK) { /* it has not taken it */
        explain(ssl, errno, fault);
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

int aigw_redis_tls_go_on(struct ssl_st *ssl, aigw_redis_fault_t *fault)
{
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_do_handshake(ssl);
    if (n == 1) {
        return 0;
    }
    switch (SSL_get_error(ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    default:
        explain(ssl, errno, fault);
        return -1;
    }
}

/* ------------------------------------------------------------------ then */

short aigw_redis_tls_events(const struct ssl_st *ssl, short events)
{
    if (events & POLLIN && SSL_pending(ssl)) {
        return 0;
    }
    return SSL_want_write(ssl) ? POLLOUT : SSL_want_read(ssl) ? POLLIN : events;
}

int aigw_redis_tls_is_quiet(struct ssl_st *ssl)
{
    char one;
    int n;

    ERR_clear_error();
    n = SSL_peek(ssl, &one, 1);
    n = n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return n;
}
