/* A connection of aigw-load, plain or TLS: both are used as if they were a nonblocking socket. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int watch(slot *s, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (s->watched == events) {
        return 0;
    }
    if (epoll_ctl(epfd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &e)) {
        return -1;
    }
    s->watched = events;
    return 0;
}

/* What a call that could not go on waits for. Always -1, with errno. */
static ssize_t wait_for(slot *s, unsigned out)
{
    errno = watch(s, EPOLLIN | EPOLLRDHUP | out) ? errno : EAGAIN;
    return -1;
}

#ifdef HAVE_LIBSSL
#include <openssl/ssl.h>

static int tls_open(slot *s)
{
    static SSL_CTX *ctx;

    if (!ctx) {
        ctx = SSL_CTX_new(TLS_client_method());
        if (!ctx) {
            return -1;
        }
        /* the server is ours, on this machine: its certificate is nobody's */
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    }
    s->tls = SSL_new(ctx);
    if (!s->tls || !SSL_set_fd(s->tls, s->fd)) {
        return -1;
    }
    SSL_set_connect_state(s->tls);
    return 0;
}

/* Of SSL_read or SSL_write, in the words of recv() and send(). */
static ssize_t tls_result(slot *s, int n)
{
    if (n > 0) {
        return n;
    }
    switch (SSL_get_error(s->tls, n)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(s, 0);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(s, EPOLLOUT);
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = EPROTO;
        return -1;
    }
}

static ssize_t tls_send(slot *s, const char *p, size_t n)
{
    return tls_result(s, SSL_write(s->tls, p, (int)n));
}

static ssize_t tls_recv(slot *s, char *p, size_t n)
{
    return tls_result(s, SSL_read(s->tls, p, (int)n));
}

int conn_pending(const slot *s)
{
    return s->tls && SSL_pending(s->tls) > 0;
}

static void tls_close(slot *s)
{
    SSL_free(s->tls);
    s->tls = NULL;
}
#else
static int tls_open(slot *s)
{
    return -1; /* read_options() has said so already */
}

static ssize_t tls_send(slot *s, const char *p, size_t n)
{
    return -1;
}

static ssize_t tls_recv(slot *s, char *p, size_t n)
{
    return -1;
}

int conn_pending(const slot *s)
{
    return 0;
}

static void tls_close(slot *s)
{
}
#endif

int conn_open(slot *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)opt.port)};
    int one = 1;

    s->watched = 0;
    if (inet_pton(AF_INET, opt.host, &a.sin_addr) != 1 || (s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0) {
        return -1;
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (opt.addresses > 1) { /* who is nobody is told apart by these */
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (unsigned)((s - slots) % opt.addresses))};

        if (bind(s->fd, (struct sockaddr *)&from, sizeof from)) {
            return -1;
        }
    }
    if (connect(s->fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS) {
        return -1;
    }
    if (opt.tls && tls_open(s)) {
        return -1;
    }
    return watch(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

int conn_connected(slot *s)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error ? -1 : 0;
}

ssize_t conn_send(slot *s, const char *p, size_t n)
{
    ssize_t sent = s->tls ? tls_send(s, p, n) : send(s->fd, p, n, MSG_NOSIGNAL);

    if (sent < 0 && !s->tls && errno == EAGAIN) {
        return wait_for(s, EPOLLOUT);
    }
    if (sent == (ssize_t)n && watch(s, EPOLLIN | EPOLLRDHUP)) {
        return -1;
    }
    return sent;
}

ssize_t conn_recv(slot *s, char *p, size_t n)
{
    return s->tls ? tls_recv(s, p, n) : recv(s->fd, p, n, 0);
}

void conn_close(slot *s, int rst)
{
    struct linger l = {1, 0};

    if (s->fd < 0) {
        return;
    }
    if (rst) {
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    if (s->tls) {
        tls_close(s);
    }
    close(s->fd);
    s->fd = -1;
}
