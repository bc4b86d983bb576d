/* Takes the answers apart that aigw-load gets: HTTP/1.1, and in it server-sent events. */
#define _GNU_SOURCE
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------ server-sent events */

/* An event is complete. */
static void count_event(slot *s)
{
    uint64_t t = now_ns();

    s->has_data = 0;
    s->events++;
    count.events++;
    if (s->stamp) {
        count.tokens++;
        hist_add(&count.added, (int64_t)(t - s->stamp));
        if (count.started == opt.total && count.open == opt.total) {
            hist_add(&count.added_steady, (int64_t)(t - s->stamp));
        }
        s->stamp = 0;
    }
    if (s->first) {
        hist_add(&count.gap, (int64_t)(t - s->last));
    }
    else {
        s->first = t;
        count.started++;
        hist_add(&count.ttft, (int64_t)(t - s->began));
    }
    s->last = t;
}

/* A line of the body, its end cut off; at most LOAD_LINE - 1 bytes of it. */
static void event_line(slot *s)
{
    const char *data = s->line + 5, *at;

    if (!strncmp(s->line, "data:", 5)) {
        data += *data == ' ';
        if (!strcmp(data, opt.done)) {
            s->done = 1;
            return;
        }
        s->has_data |= *data != '\0'; /* without any it is no event */
        s->error |= !strncmp(data, "{\"error\"", 8);
        if ((at = strstr(data, "@ns="))) {
            s->stamp = strtoull(at + 4, NULL, 10);
        }
    }
    else if (!*s->line && s->has_data) {
        count_event(s);
    }
}

static void body_bytes(slot *s, const char *p, size_t n)
{
    const char *nl;
    size_t take, room;

    for (; n; p += take, n -= take) {
        nl = memchr(p, '\n', n);
        take = nl ? (size_t)(nl - p) + 1 : n;
        room = LOAD_LINE - 1 - s->line_len;
        room = room < take - (nl != NULL) ? room : take - (nl != NULL);
        memcpy(s->line + s->line_len, p, room);
        s->line_len += room;
        if (nl) {
            s->line_len -= s->line_len && s->line[s->line_len - 1] == '\r';
            s->line[s->line_len] = '\0';
            s->line_len = 0;
            event_line(s);
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
        stream_over(s, PROTOCOL);
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
    if (s->status != opt.status) {
        s->closing = 1;
        stream_over(s, HTTP_STATUS);
        return -1;
    }
    s->phase = s->chunked ? CHUNK_SIZE : s->left >= 0 ? BODY_LENGTH : BODY_EOF;
    if (s->phase == BODY_LENGTH && !s->left) {
        stream_over(s, verdict(s));
        return -1;
    }
    return 0;
}

static int chunk_line(slot *s)
{
    char *end;

    s->left = strtoll(s->field, &end, 16);
    if (end == s->field || s->left < 0) {
        stream_over(s, PROTOCOL);
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
        stream_over(s, verdict(s));
        return -1;
    }
}

/* Everything outside of the body is lines. Returns how much was eaten, or -1: the stream is over. */
static ssize_t head_bytes(slot *s, const char *p, size_t n)
{
    const char *nl = memchr(p, '\n', n);
    size_t take = nl ? (size_t)(nl - p) : n, room = LOAD_FIELD - 1 - s->field_len;

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
    if (!opt.json) {
        body_bytes(s, p, n);
    }
    if (s->phase != BODY_EOF && !(s->left -= (long long)n)) {
        if (s->phase == BODY_LENGTH) {
            stream_over(s, verdict(s));
            return -1;
        }
        s->phase = CHUNK_END;
    }
    return (ssize_t)n;
}

void http_bytes(slot *s, const char *p, size_t n)
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

void http_ended(slot *s, int error)
{
    s->closing = 1;
    if (s->phase == CONNECTING) {
        stream_over(s, CONNECT);
    }
    else if (s->reused && s->phase == STATUS && !s->field_len) {
        stream_restart(s); /* it was closed while idle */
    }
    else if (s->phase == BODY_EOF && !error) {
        stream_over(s, verdict(s));
    }
    else {
        stream_over(s, error ? RESET : TRUNCATED);
    }
}
