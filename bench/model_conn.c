/* A connection of aigw-model: bytes in, bytes out, and who hung up. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX (64 << 20)

static int watch(model_conn *c, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (c->watched == events) {
        return 0;
    }
    if (epoll_ctl(model_epfd, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e)) {
        return -1;
    }
    c->watched = events;
    return 0;
}

/* Always -1. */
static int hang_up(model_conn *c)
{
    if (c->state != READING) {
        counts.ended_early++;
        stats_closed(c->ask.tag);
        counts.streams_open -= c->ask.stream;
    }
    heap_drop(&c->timer);
    counts.open--;
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
    return -1;
}

void conn_accept(int listener)
{
    model_conn *c;
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        c = calloc(1, sizeof *c);
        if (!c) {
            close(fd);
            continue;
        }
        c->fd = fd;
        counts.open++;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (watch(c, EPOLLIN | EPOLLRDHUP)) {
            hang_up(c);
        }
    }
}

/* More room, for what is in already and n more bytes. */
static int make_room(char **p, size_t *room, size_t n)
{
    size_t want = *room ? *room : 2048;
    char *bigger;

    while (want < n) {
        want *= 2;
    }
    if (want == *room) {
        return 0;
    }
    bigger = realloc(*p, want);
    if (!bigger) {
        return -1;
    }
    *p = bigger;
    *room = want;
    return 0;
}

/* ------------------------------------------------------------------ out */

/* Writes, or keeps what the kernel does not take. Order is kept. */
int conn_write(model_conn *c, const char *p, size_t n)
{
    ssize_t taken = 0;

    if (c->out_at == c->out_len) {
        counts.writes++;
        taken = send(c->fd, p, n, MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN && errno != EINTR) {
            return hang_up(c);
        }
        taken = taken < 0 ? 0 : taken;
        if ((size_t)taken == n) {
            return 0;
        }
        counts.blocked++;
        c->out_at = c->out_len = 0;
    }
    n -= (size_t)taken;
    if (make_room(&c->out, &c->out_room, c->out_len + n)) {
        return hang_up(c);
    }
    memcpy(c->out + c->out_len, p + taken, n);
    c->out_len += n;
    return watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT) ? hang_up(c) : 0;
}

static int write_more(model_conn *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : hang_up(c);
    }
    c->out_at += (size_t)n;
    if (c->out_at < c->out_len) {
        return 0;
    }
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_at = c->out_room = 0;
    return watch(c, EPOLLIN | EPOLLRDHUP) ? hang_up(c) : answer_drained(c);
}

/* ------------------------------------------------------------------ in */

static int answer(model_conn *c, const model_request *q)
{
    char *text;
    size_t len;
    int rv;

    counts.requests++;
    c->close_after = q->close;
    if (q->refused) {
        return answer_plain(c, q->refused, "text/plain", "", 0);
    }
    if (!strcmp(q->method, "GET") && !strcmp(q->path, "/stats")) {
        text = stats_json(&len);
        rv = answer_plain(c, 200, "application/json", text, len);
        free(text);
        return rv;
    }
    if (strcmp(q->method, "POST")) {
        return answer_plain(c, 404, "text/plain", "", 0);
    }
    request_ask(q, &c->ask);
    return answer_begin(c);
}

/* Takes whole requests out of the buffer until one is being answered or there is none. */
static int requests(model_conn *c)
{
    model_request q;
    int rv;

    while (c->state == READING && c->in_len) {
        rv = request_parse(c->in, c->in_len, &q);
        if (rv < 0) {
            return hang_up(c);
        }
        if (!rv) {
            return 0;
        }
        if (answer(c, &q)) {
            return -1;
        }
        c->in_len -= q.all;
        memmove(c->in, c->in + q.all, c->in_len);
    }
    if (!c->in_len && c->in_room > 8192) { /* 10,000 streams need no room for what they have asked */
        free(c->in);
        c->in = NULL;
        c->in_room = 0;
    }
    return 0;
}

/* An answer has been written, or is as good as that. */
int conn_answered(model_conn *c)
{
    c->state = READING;
    if (c->close_after) {
        shutdown(c->fd, SHUT_WR); /* the rest is in the kernel, or there is none; the peer hangs up then */
    }
    return 0;
}

static int read_some(model_conn *c)
{
    ssize_t n;

    if (c->in_len > REQUEST_MAX || make_room(&c->in, &c->in_room, c->in_len + 1024 + 1)) {
        return hang_up(c);
    }
    n = recv(c->fd, c->in + c->in_len, c->in_room - c->in_len - 1, 0);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : hang_up(c);
    }
    c->in_len += (size_t)n;
    return requests(c);
}

int conn_serve(model_conn *c, unsigned events)
{
    if (events & (EPOLLERR | EPOLLHUP) || (events & EPOLLRDHUP && c->state != READING)) {
        return hang_up(c);
    }
    if (events & EPOLLOUT && c->out_len && write_more(c)) {
        return -1;
    }
    /* what is said after RDHUP is the end itself */
    return events & (EPOLLIN | EPOLLRDHUP) ? read_some(c) : 0;
}
