#include "redis_connection.h"
#include "redis_reply.h"
#include "redis_tls.h"
#include "aigw_clock.h"

#include <apr_strings.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

struct aigw_redis_connection_t {
    redisContext *context;
    struct ssl_st *ssl; /* context's; NULL: no TLS */
    aigw_redis_box_t box;
    apr_size_t reply_bytes; /* at most */
    aigw_redis_connection_t *next;
};

static apr_status_t fail(aigw_redis_fault_t *fault, apr_status_t rv, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static apr_status_t fail(aigw_redis_fault_t *fault, apr_status_t rv, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    apr_vsnprintf(fault->text, sizeof fault->text, fmt, args);
    va_end(args);
    fault->rv = rv;
    return rv;
}

static const char *reason(int error, char *buf, apr_size_t len)
{
    return apr_strerror(APR_FROM_OS_ERROR(error), buf, len);
}

/* Until there is one of these events, or the time is up: 1, or 0. */
static int wait_for(int fd, short events, apr_time_t until)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    apr_interval_time_t left;
    int n;

    do {
        left = until - aigw_clock_now();
        n = poll(&pfd, 1, left > 0 ? (int)((left + 999) / 1000) : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* ------------------------------------------------------------------ connect */

/* A socket that is connected, or -1 and *error. */
static int connect_to(const struct sockaddr *sa, socklen_t len, apr_time_t until, int *error)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    socklen_t size = sizeof *error;

    if (fd < 0) {
        *error = errno;
        return -1;
    }
    *error = connect(fd, sa, len) == 0 ? 0 : errno;
    if (*error == EINPROGRESS || *error == EINTR) {
        if (!wait_for(fd, POLLOUT, until)) {
            *error = ETIMEDOUT;
        }
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &size) != 0) {
            *error = errno;
        }
    }
    if (*error) {
        close(fd);
        return -1;
    }
    if (sa->sa_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return fd;
}

/* Each address has its share of the time that is left. */
static int connect_to_any(const aigw_redis_addresses_t *addresses, apr_time_t until, int *error)
{
    apr_time_t now;
    int i, fd = -1;

    *error = 0;
    for (i = 0; fd < 0 && i < addresses->count; i++) {
        now = aigw_clock_now();
        fd = connect_to((const struct sockaddr *)&addresses->at[i].sa, addresses->at[i].len, now + (until - now) / (addresses->count - i),
                        error);
    }
    return fd;
}

static aigw_redis_connection_t *wrap(int fd)
{
    aigw_redis_connection_t *connection = calloc(1, sizeof *connection);

    if (!connection || !(connection->context = redisConnectFd(fd)) || connection->context->err) {
        if (connection && connection->context) {
            redisFreeKeepFd(connection->context);
        }
        free(connection);
        close(fd);
        return NULL;
    }
    /* we wait ourselves, with a time for the whole reply and not for each of its pieces */
    connection->context->flags &= ~REDIS_BLOCK;
    aigw_redis_reply_use(connection->context->reader, &connection->box);
    return connection;
}

/* What is left of the connect time-out is the handshake's. */
static apr_status_t shake_hands(aigw_redis_connection_t *connection, const aigw_redis_t *redis, apr_time_t until, aigw_redis_fault_t *fault)
{
    int events;

    connection->ssl = aigw_redis_tls_begin(redis, connection->context, fault);
    if (!connection->ssl) {
        return APR_ECONNREFUSED;
    }
    while ((events = aigw_redis_tls_go_on(connection->ssl, fault)) > 0) {
        if (!wait_for(connection->context->fd, (short)events, until)) {
            return fail(fault, APR_ECONNREFUSED, "no TLS handshake in time: is this its TLS port?");
        }
    }
    return events ? APR_ECONNREFUSED : APR_SUCCESS;
}

int aigw_redis_is_error(const aigw_redis_reply_t *reply, const char *word)
{
    apr_size_t len = strlen(word);

    return reply->kind == AIGW_REDIS_ERROR && reply->len >= len && !memcmp(reply->data, word, len) &&
           (reply->len == len || reply->data[len] == ' ');
}

/* What Redis says against it; not where that has the password in it. */
static void not_let_in(const aigw_redis_t *redis, const char *what, const aigw_redis_reply_t *reply, aigw_redis_fault_t *fault)
{
    int secret = redis->password && reply->data && strstr(reply->data, redis->password);

    fault->refused = 1;
    fail(fault, APR_ECONNREFUSED, "%s is refused: %s", what,
         secret || reply->kind != AIGW_REDIS_ERROR ? "(what it says is not repeated here)" : reply->data);
}

/* AUTH and SELECT. Over TLS at least a PING: with TLS 1.3 the handshake ends here before Redis has seen our certificate, and it may not like it. */
static apr_status_t log_in(aigw_redis_connection_t *connection, const aigw_redis_t *redis, apr_pool_t *p, aigw_redis_fault_t *fault)
{
    const apr_time_t until = aigw_clock_now() + redis->command_timeout;
    const aigw_redis_reply_t *reply = NULL;
    const char *words[3];
    apr_status_t rv = APR_SUCCESS;
    int n = 0;

    if (redis->password) {
        words[n++] = "AUTH";
        if (redis->user) {
            words[n++] = redis->user;
        }
        words[n++] = redis->password;
        rv = aigw_redis_ask(connection, p, n, words, NULL, until, &reply, fault);
        if (rv == APR_SUCCESS && reply->kind == AIGW_REDIS_ERROR && !aigw_redis_is_error(reply, "LOADING")) {
            not_let_in(redis, apr_psprintf(p, "AUTH of user %s", redis->user ? redis->user : "default"), reply, fault);
            rv = fault->rv;
        }
    }
    if (rv == APR_SUCCESS && redis->db) {
        words[0] = "SELECT";
        words[1] = apr_itoa(p, redis->db);
        rv = aigw_redis_ask(connection, p, 2, words, NULL, until, &reply, fault);
        if (rv == APR_SUCCESS && reply->kind == AIGW_REDIS_ERROR && !aigw_redis_is_error(reply, "LOADING")) {
            not_let_in(redis, apr_psprintf(p, "SELECT %d", redis->db), reply, fault);
            rv = fault->rv;
        }
    }
    if (connection->ssl && !reply && rv == APR_SUCCESS) {
        words[0] = "PING";
        rv = aigw_redis_ask(connection, p, 1, words, NULL, until, &reply, fault);
    }
    return rv;
}

aigw_redis_connection_t *aigw_redis_connect(const aigw_redis_t *redis, const aigw_redis_addresses_t *addresses, apr_pool_t *p,
                                            aigw_redis_fault_t *fault)
{
    const apr_time_t until = aigw_clock_now() + redis->connect_timeout;
    aigw_redis_connection_t *connection;
    char buf[120];
    int error, fd = connect_to_any(addresses, until, &error);

    memset(fault, 0, sizeof *fault);
    if (fd < 0) {
        fail(fault, APR_ECONNREFUSED, "no connection: %s", addresses->count ? reason(error, buf, sizeof buf) : "its name is not found");
        return NULL;
    }
    connection = wrap(fd);
    if (!connection) {
        fail(fault, APR_ECONNREFUSED, "no connection: out of memory");
        return NULL;
    }
    connection->reply_bytes = redis->reply_bytes;
    if ((redis->over_tls && shake_hands(connection, redis, until, fault) != APR_SUCCESS) ||
        log_in(connection, redis, p, fault) != APR_SUCCESS) {
        fault->rv = APR_ECONNREFUSED; /* whatever it was, no command was tried */
        aigw_redis_close(connection);
        return NULL;
    }
    return connection;
}

/* ------------------------------------------------------------------ commands */

/* hiredis does not go on. errno is that of its last call. */
static apr_status_t broken(const aigw_redis_connection_t *connection, const char *command, aigw_redis_fault_t *fault)
{
    const redisContext *context = connection->context;
    const int error = errno;
    const char *why = connection->ssl ? aigw_redis_tls_reason() : NULL;
    char buf[120];

    switch (context->err) {
    case REDIS_ERR_EOF: /* over TLS it may have said why */
        return fail(fault, APR_ECONNRESET, "it closed the connection before it answered %s%s%s", command, why ? ": " : "", why ? why : "");
    case REDIS_ERR_IO:
        return fail(fault, APR_ECONNRESET, "the connection broke before it answered %s: %s", command,
                    why ? why : reason(error, buf, sizeof buf));
    case REDIS_ERR_PROTOCOL:
        return fail(fault, APR_ECONNRESET, "what it answered to %s is not Redis's protocol", command);
    default:
        return fail(fault, APR_ECONNRESET, "its answer to %s %s", command,
                    connection->box.too_large ? "has too many elements" : "cannot be read (out of memory)");
    }
}

static apr_status_t too_late(const char *command, aigw_redis_fault_t *fault)
{
    return fail(fault, APR_TIMEUP, "no answer to %s in time", command);
}

/* Until TLS, or else the socket, has something for us to do; 0: the time is up. */
static int wait_on(const aigw_redis_connection_t *connection, short events, apr_time_t until)
{
    if (connection->ssl) {
        events = aigw_redis_tls_events(connection->ssl, events);
    }
    return !events || wait_for(connection->context->fd, events, until);
}

static apr_status_t send_all(aigw_redis_connection_t *connection, const char *command, apr_time_t until, aigw_redis_fault_t *fault)
{
    redisContext *context = connection->context;
    int done = 0;

    while (!done) {
        aigw_redis_tls_forget_errors();
        if (redisBufferWrite(context, &done) != REDIS_OK) {
            fault->undone = 1;
            return broken(connection, command, fault);
        }
        if (!done && !wait_on(connection, POLLOUT, until)) {
            fault->undone = 1;
            return too_late(command, fault);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_reply(aigw_redis_connection_t *connection, const char *command, apr_time_t until, const aigw_redis_reply_t **reply,
                               aigw_redis_fault_t *fault)
{
    redisContext *context = connection->context;
    void *got = NULL;

    for (;;) {
        if (redisGetReplyFromReader(context, &got) != REDIS_OK) {
            return broken(connection, command, fault);
        }
        if (got) {
            *reply = got;
            return APR_SUCCESS;
        }
        if (context->reader->len > connection->reply_bytes) {
            return fail(fault, APR_ECONNRESET, "its answer to %s is too long", command);
        }
        if (!wait_on(connection, POLLIN, until)) {
            return too_late(command, fault);
        }
        aigw_redis_tls_forget_errors();
        if (redisBufferRead(context) != REDIS_OK) {
            return broken(connection, command, fault);
        }
    }
}

apr_status_t aigw_redis_ask(aigw_redis_connection_t *connection, apr_pool_t *p, int argc, const char *const *argv, const apr_size_t *lens,
                            apr_time_t until, const aigw_redis_reply_t **reply, aigw_redis_fault_t *fault)
{
    apr_status_t rv;

    memset(fault, 0, sizeof *fault);
    aigw_redis_box_empty(&connection->box, p);
    if (redisAppendCommandArgv(connection->context, argc, (const char **)argv, lens) != REDIS_OK) {
        fault->undone = 1;
        return fail(fault, APR_ENOMEM, "no memory for %s", argv[0]);
    }
    rv = send_all(connection, argv[0], until, fault);
    return rv == APR_SUCCESS ? read_reply(connection, argv[0], until, reply, fault) : rv;
}

/* ------------------------------------------------------------------ between commands */

int aigw_redis_is_quiet(const aigw_redis_connection_t *connection)
{
    const redisReader *reader = connection->context->reader;
    struct pollfd pfd = {.fd = connection->context->fd, .events = POLLIN};

    if (reader->pos != reader->len) {
        return 0;
    }
    return connection->ssl ? aigw_redis_tls_is_quiet(connection->ssl) : poll(&pfd, 1, 0) == 0;
}

void aigw_redis_close(aigw_redis_connection_t *connection)
{
    redisFree(connection->context); /* closes its descriptor */
    free(connection);
}

aigw_redis_connection_t **aigw_redis_next(aigw_redis_connection_t *connection)
{
    return &connection->next;
}
