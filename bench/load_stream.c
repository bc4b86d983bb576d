/* A stream of aigw-load, from its beginning to its verdict. With --json it is a plain answer. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

const char *const reason_names[REASONS] = {"", "connect", "status", "error_event", "truncated", "reset", "no_done", "protocol", "timeout"};

static unsigned long random_number(void)
{
    static unsigned long long x = 88172645463325252ULL; /* the same in every run */

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (unsigned long)(x >> 11);
}

static void note(const slot *s, const char *how)
{
    if (events_out) {
        fprintf(events_out, "%ld %s status=%d events=%ld done=%d ttft_ms=%.1f\n", s->serial, how, s->status, s->events, s->done,
                s->first ? (double)(s->first - s->began) / 1e6 : -1.0);
    }
}

/* The slot is idle from now on. */
static void free_slot(slot *s)
{
    count.open--;
    count.started -= s->first != 0;
    s->serial = -1;
    if (s - slots < opt.streams) { /* those beyond are --leave's, which knows them */
        idle[idle_n++] = s;
    }
}

void stream_over(slot *s, enum reason why)
{
    if (why == OK) {
        count.completed++;
        hist_add(&count.latency, (int64_t)(now_ns() - s->began));
    }
    else {
        count.failed[why]++;
    }
    note(s, why == OK ? "ok" : reason_names[why]);
    if (why != OK || s->closing || !opt.keep_alive || (count.opened >= opt.total && !opt.hold)) {
        conn_close(s, 0);
    }
    free_slot(s);
}

void stream_leave(slot *s, int rst)
{
    note(s, "left");
    conn_close(s, rst);
    free_slot(s);
}

static void send_request(slot *s)
{
    ssize_t n;

    while (s->sent < s->request_len) {
        n = conn_send(s, s->request + s->sent, s->request_len - s->sent);
        if (n <= 0) {
            break; /* EAGAIN: epoll knows what for; anything else shows when reading */
        }
        s->sent += (size_t)n;
    }
}

/* (Re)starts what is counted already: on the connection there is, or on a new one. */
static void start(slot *s)
{
    s->line_len = s->field_len = s->sent = 0;
    s->chunked = s->status = s->done = s->error = s->has_data = s->closing = 0;
    s->events = 0;
    s->first = s->last = s->stamp = 0;
    s->left = -1;
    s->reused = s->fd >= 0;
    s->phase = s->reused ? STATUS : CONNECTING;
    if (s->reused) {
        send_request(s);
    }
    else if (conn_open(s)) {
        stream_over(s, CONNECT);
    }
}

void stream_begin(slot *s)
{
    s->serial = count.opened++;
    s->began = now_ns();
    s->abort_after = (long)(random_number() % 100) < opt.abort_percent ? (long)(random_number() % 6) : -1;
    if (++count.open > count.max_open) {
        count.max_open = count.open;
    }
    start(s);
}

void stream_restart(slot *s)
{
    conn_close(s, 0);
    count.reconnects++;
    start(s);
}

static void maybe_abort(slot *s)
{
    if (s->serial >= 0 && s->abort_after >= 0 && s->phase != CONNECTING && s->sent == s->request_len && s->events >= s->abort_after) {
        count.aborted++;
        stream_leave(s, s->serial % 2);
    }
}

static void receive(slot *s)
{
    static char buf[65536];
    ssize_t n;

    do {
        n = conn_recv(s, buf, sizeof buf);
        if (n > 0) {
            http_bytes(s, buf, (size_t)n);
        }
        else if (!n || (errno != EAGAIN && errno != EINTR)) {
            http_ended(s, n < 0);
        }
    } while (n > 0 && s->fd >= 0 && s->serial >= 0 && conn_pending(s));
}

void stream_serve(slot *s, unsigned events)
{
    if (s->phase == CONNECTING) {
        if (conn_connected(s)) {
            stream_over(s, CONNECT);
            return;
        }
        s->phase = STATUS;
    }
    if (s->sent < s->request_len) {
        send_request(s);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        receive(s);
    }
    if (s->tls && s->serial >= 0 && s->sent < s->request_len) {
        send_request(s); /* reading may have been what ended the handshake, and nothing else would wake us */
    }
    maybe_abort(s);
}
