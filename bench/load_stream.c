/* A stream of aigw-load: connect, ask, take HTTP and server-sent events apart, judge. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

const char *const reason_names[REASONS] = {"", "connect", "status", "error_event", "truncated", "reset", "no_done", "protocol", "timeout"};

static unsigned long random_number(void)
{
    static unsigned long long x = 88172645463325252ULL; /* the same in every run */

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (unsigned long)(x >> 11);
}

/* ------------------------------------------------------------------ the life of a stream */

void stream_hang_up(slot *s, int rst)
{
    struct linger l = {1, 0};

    if (s->fd < 0) {
        return;
    }
    if (rst) {
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(s->fd);
    s->fd = -1;
}

/* Counts a stream that is over; its slot is idle then. */
void stream_over(slot *s, enum reason why, int aborted)
{
    count.open--;
    if (aborted) {
        count.aborted++;
    }
    else if (why == OK) {
        count.completed++;
    }
    else {
        count.failed[why]++;
    }
    if (events_out) {
        fprintf(events_out, "%ld %s status=%d events=%ld done=%d ttft_ms=%.1f\n", s->serial,
                aborted     ? "aborted"
                : why == OK ? "ok"
                            : reason_names[why],
                s->status, s->events, s->done, s->first > 0 ? (s->first - s->began) * 1000 : -1.0);
    }
    if (why != OK || aborted || s->closing || !opt.keep_alive || count.opened >= opt.total) {
        stream_hang_up(s, aborted && s->serial % 2);
    }
    s->serial = -1;
    idle[idle_n++] = s;
}

static void send_request(slot *s)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};
    ssize_t n;

    while (s->sent < request_len) {
        n = send(s->fd, request + s->sent, request_len - s->sent, MSG_NOSIGNAL);
        if (n < 0) {
            break; /* EAGAIN: EPOLLOUT comes; anything else shows when reading */
        }
        s->sent += (size_t)n;
    }
    if (s->sent < request_len) {
        e.events |= EPOLLOUT;
    }
    epoll_ctl(epfd, EPOLL_CTL_MOD, s->fd, &e);
}

static int connect_slot(slot *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)opt.port)};
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.ptr = s};
    int one = 1;

    if (inet_pton(AF_INET, opt.host, &a.sin_addr) != 1 || (s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0) {
        return -1;
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s->fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS) {
        return -1;
    }
    return epoll_ctl(epfd, EPOLL_CTL_ADD, s->fd, &e);
}

/* (Re)starts what is counted already: on the connection there is, or on a new one. */
static void start(slot *s)
{
    s->line_len = s->field_len = s->sent = 0;
    s->chunked = s->status = s->done = s->error = s->has_data = s->closing = 0;
    s->events = 0;
    s->first = s->last = 0;
    s->left = -1;
    s->reused = s->fd >= 0;
    s->phase = s->reused ? STATUS : CONNECTING;
    if (s->reused) {
        send_request(s);
    }
    else if (connect_slot(s)) {
        stream_over(s, CONNECT, 0);
    }
}

void stream_begin(slot *s)
{
    s->serial = count.opened++;
    s->began = now();
    s->abort_after = (long)(random_number() % 100) < opt.abort_percent ? (long)(random_number() % 6) : -1;
    if (++count.open > count.max_open) {
        count.max_open = count.open;
    }
    start(s);
}

/* ------------------------------------------------------------------ server-sent events */

/* A line of the body, its end cut off; at most LOAD_LINE - 1 bytes of it. */
static void event_line(slot *s)
{
    const char *data = s->line + 5;
    double t;

    if (!strncmp(s->line, "data:", 5)) {
        data += *data == ' ';
        if (!strcmp(data, opt.done)) {
            s->done = 1;
            return;
        }
        s->has_data |= *data != '\0'; /* without any it is no event */
        s->error |= !strncmp(data, "{\"error\"", 8);
        return;
    }
    if (*s->line || !s->has_data) {
        return;
    }
    t = now();
    s->has_data = 0;
    s->events++;
    count.events++;
    if (s->first > 0) {
        double ms = (t - s->last) * 1000;
        int i = (int)(ms * 10);

        count.gap[i < LOAD_BUCKETS ? i : LOAD_BUCKETS - 1]++;
        count.gaps++;
        count.gap_max = ms > count.gap_max ? ms : count.gap_max;
    }
    else {
        s->first = t;
        count.ttft[count.ttfts++] = (float)((t - s->began) * 1000);
    }
    s->last = t;
}

static void body_bytes(slot *s, const char *p, size_t n)
{
    for (; n; p++, n--) {
        if (*p == '\n') {
            s->line[s->line_len] = '\0';
            s->line_len = 0;
            event_line(s);
        }
        else if (*p != '\r' && s->line_len < LOAD_LINE - 1) {
            s->line[s->line_len++] = *p;
        }
    }
}

/* ------------------------------------------------------------------ HTTP */

static enum reason verdict(const slot *s)
{
    return s->error ? ERROR_EVENT : s->done || !*opt.done ? OK : NO_DONE;
}

static int status_line(slot *s)
{
    s->status = !strncmp(s->field, "HTTP/1.", 7) ? atoi(s->field + 9) : 0;
    if (s->status < 100 || s->status > 599) {
        stream_over(s, PROTOCOL, 0);
        return -1;
    }
    s->phase = HEADERS;
    return 0;
}

static int header_line(slot *s)
{
    if (!strncasecmp(s->field, "content-length:", 15)) {
        s->left = atoll(s->field + 15);
    }
    else if (!strncasecmp(s->field, "transfer-encoding:", 18)) {
        s->chunked = strcasestr(s->field, "chunked") != NULL;
    }
    else if (!strncasecmp(s->field, "connection:", 11)) {
        s->closing = strcasestr(s->field, "close") != NULL;
    }
    if (*s->field) {
        return 0;
    }
    if (s->status < 200) {
        s->phase = STATUS;
        return 0;
    }
    count.statuses[s->status]++;
    if (s->status != 200) {
        s->closing = 1;
        stream_over(s, HTTP_STATUS, 0);
        return -1;
    }
    s->phase = s->chunked ? CHUNK_SIZE : s->left >= 0 ? BODY_LENGTH : BODY_EOF;
    if (s->phase == BODY_LENGTH && !s->left) {
        stream_over(s, verdict(s), 0);
        return -1;
    }
    return 0;
}

static int chunk_line(slot *s)
{
    char *end;

    s->left = strtoll(s->field, &end, 16);
    if (end == s->field || s->left < 0) {
        stream_over(s, PROTOCOL, 0);
        return -1;
    }
    s->phase = s->left ? CHUNK_DATA : TRAILERS;
    return 0;
}

/* A whole line outside of the body. -1: the stream is over. */
static int head_line(slot *s)
{
    switch (s->phase) {
    case STATUS:
        return status_line(s);
    case HEADERS:
        return header_line(s);
    case CHUNK_SIZE:
        return chunk_line(s);
    case CHUNK_END:
        s->phase = CHUNK_SIZE;
        return 0;
    default: /* TRAILERS */
        if (*s->field) {
            return 0;
        }
        stream_over(s, verdict(s), 0);
        return -1;
    }
}

/* Everything outside of the body is lines. Returns how much was eaten, or -1: the stream is over. */
static ssize_t head_bytes(slot *s, const char *p, size_t n)
{
    const char *nl = memchr(p, '\n', n);
    size_t take = nl ? (size_t)(nl - p) : n, room = LOAD_LINE - 1 - s->field_len;

    memcpy(s->field + s->field_len, p, take < room ? take : room);
    s->field_len += take < room ? take : room;
    if (!nl) {
        return (ssize_t)n;
    }
    if (s->field_len && s->field[s->field_len - 1] == '\r') {
        s->field_len--;
    }
    s->field[s->field_len] = '\0';
    s->field_len = 0;
    return head_line(s) ? -1 : (ssize_t)take + 1;
}

static ssize_t some_body(slot *s, const char *p, size_t n)
{
    if (s->phase != BODY_EOF && (long long)n > s->left) {
        n = (size_t)s->left;
    }
    body_bytes(s, p, n);
    if (s->phase != BODY_EOF && !(s->left -= (long long)n)) {
        if (s->phase == BODY_LENGTH) {
            stream_over(s, verdict(s), 0);
            return -1;
        }
        s->phase = CHUNK_END;
    }
    return (ssize_t)n;
}

static void take(slot *s, const char *p, size_t n)
{
    while (n) {
        int body = s->phase == CHUNK_DATA || s->phase == BODY_LENGTH || s->phase == BODY_EOF;
        ssize_t eaten = body ? some_body(s, p, n) : head_bytes(s, p, n);

        if (eaten < 0) {
            return;
        }
        p += eaten;
        n -= (size_t)eaten;
    }
}

/* The other side has ended the connection. */
static void ended(slot *s, int error)
{
    s->closing = 1;
    if (s->phase == CONNECTING) {
        stream_over(s, CONNECT, 0);
    }
    else if (s->reused && s->phase == STATUS && !s->field_len) {
        stream_hang_up(s, 0); /* it was closed while idle */
        count.reconnects++;
        start(s);
    }
    else if (s->phase == BODY_EOF && !error) {
        stream_over(s, verdict(s), 0);
    }
    else {
        stream_over(s, error ? RESET : TRUNCATED, 0);
    }
}

static void maybe_abort(slot *s)
{
    if (s->serial >= 0 && s->abort_after >= 0 && s->phase != CONNECTING && s->sent == request_len && s->events >= s->abort_after) {
        stream_over(s, OK, 1);
    }
}

void stream_serve(slot *s, unsigned events)
{
    static char buf[65536];
    ssize_t n;
    int error = 0;
    socklen_t len = sizeof error;

    if (s->phase == CONNECTING) {
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
            stream_over(s, CONNECT, 0);
            return;
        }
        s->phase = STATUS;
    }
    if (events & EPOLLOUT) {
        send_request(s);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        n = recv(s->fd, buf, sizeof buf, 0);
        if (n > 0) {
            take(s, buf, (size_t)n);
        }
        else if (!n || (errno != EAGAIN && errno != EINTR)) {
            ended(s, n < 0);
        }
    }
    maybe_abort(s);
}
