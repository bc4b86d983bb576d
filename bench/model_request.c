/* Takes a request of aigw-model's apart: enough HTTP/1.1 for what gateways and proxies send, and enough JSON for the few members that matter. */
#define _GNU_SOURCE
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The value of a header in a NUL-terminated head, or NULL. */
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);
    const char *p = head;

    while ((p = strstr(p, "\r\n"))) {
        p += 2;
        if (!strncasecmp(p, name, len) && p[len] == ':') {
            p += len + 1;
            return p + strspn(p, " \t");
        }
    }
    return NULL;
}

/* Is the word in the header's line? */
static int says(const char *value, const char *word)
{
    return value && (size_t)(strcasestr(value, word) - value) < strcspn(value, "\r") && strcasestr(value, word);
}

/* Puts the pieces of a chunked body together in place. Returns like request_parse(). */
static int unchunk(char *p, size_t n, model_request *q, size_t head)
{
    char *from = p + head, *to = from, *end = p + n, *nl, *stop;
    unsigned long size;

    /* looked at from the beginning each time: nothing may be moved before the last chunk is there */
    for (int copy = 0; copy < 2; copy++) {
        from = p + head;
        do {
            nl = memchr(from, '\n', (size_t)(end - from));
            if (!nl) {
                return 0;
            }
            size = strtoul(from, &stop, 16);
            if (stop == from || size > (size_t)1 << 30) {
                return -1;
            }
            from = nl + 1;
            if ((size_t)(end - from) < size + 2) {
                return 0;
            }
            if (copy) {
                memmove(to, from, size);
                to += size;
            }
            from += size + 2; /* and after the last one: the empty line, there are no trailers here */
        } while (size);
    }
    q->body_len = (size_t)(to - q->body);
    q->all = (size_t)(from - p);
    return 1;
}

int request_parse(char *p, size_t n, model_request *q)
{
    char *end = memmem(p, n, "\r\n\r\n", 4), *method = p, *path, *version;
    const char *length;
    size_t head;

    memset(q, 0, sizeof *q);
    if (!end) {
        return n > 65536 ? -1 : 0;
    }
    head = (size_t)(end - p) + 4;
    q->body = p + head;
    q->all = head;
    end[2] = '\0'; /* for the string functions; put back if the body is yet to come */
    if (says(header(p, "transfer-encoding"), "chunked")) {
        int rv = unchunk(p, n, q, head);
        if (rv < 1) {
            end[2] = '\r';
            return rv;
        }
    }
    else if ((length = header(p, "content-length"))) {
        q->body_len = strtoul(length, NULL, 10);
        if (n - head < q->body_len) {
            end[2] = '\r';
            return 0;
        }
        q->all = head + q->body_len;
    }
    q->close = says(header(p, "connection"), "close");
    path = strchr(method, ' ');
    version = path ? strchr(path + 1, ' ') : NULL;
    if (!version) {
        return -1;
    }
    q->refused = strncmp(version + 1, "HTTP/1.1", 8) ? 505 : 0; /* an answer without chunks is not what is measured here */
    q->close |= q->refused != 0;
    *path = *version = '\0';
    q->method = method;
    q->path = path + 1;
    return 1;
}

/* ------------------------------------------------------------------ JSON, as far as needed */

/* What follows "name": in a text, blanks skipped; or NULL. Quotes within strings are escaped, so that this finds members only. */
static const char *member(const char *p, size_t n, const char *name)
{
    const char *end = p + n;
    size_t len = strlen(name);

    while ((p = memmem(p, (size_t)(end - p), name, len))) {
        p += len;
        while (p < end && strchr(" \t\r\n", *p)) {
            p++;
        }
        if (p < end && *p == ':') {
            for (p++; p < end && strchr(" \t\r\n", *p); p++) {
            }
            return p < end ? p : NULL;
        }
    }
    return NULL;
}

static double number(const char *p, size_t n, const char *name, double otherwise)
{
    const char *v = member(p, n, name);

    return v ? strtod(v, NULL) : otherwise;
}

void request_ask(const model_request *q, model_ask *ask)
{
    const char *end = q->body + q->body_len, *v = member(q->body, q->body_len, "\"stream\""), *b, *close;
    size_t n, len;

    *ask = model_defaults;
    ask->stream = v && end - v >= 4 && !memcmp(v, "true", 4);
    b = member(q->body, q->body_len, "\"aigw_bench\"");
    close = b ? memchr(b, '}', (size_t)(end - b)) : NULL;
    if (!close) {
        return;
    }
    n = (size_t)(close - b);
    ask->tokens = (long)number(b, n, "\"tokens\"", (double)ask->tokens);
    ask->rate = number(b, n, "\"rate\"", ask->rate);
    ask->head_ms = number(b, n, "\"head_ms\"", ask->head_ms);
    ask->delay_ms = number(b, n, "\"delay_ms\"", ask->delay_ms);
    v = member(b, n, "\"tag\"");
    if (v && *v == '"') {
        len = strcspn(v + 1, "\"}");
        len = len < MODEL_TAG ? len : MODEL_TAG - 1;
        memcpy(ask->tag, v + 1, len);
        ask->tag[len] = '\0';
    }
}
