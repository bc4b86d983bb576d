/* The answer of aigw-model: OpenAI's JSON, or a stream of OpenAI's chunks, each with the time at which it was written. */
#define _GNU_SOURCE
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAMP_DIGITS  20
#define SERIAL_DIGITS 12
#define EVENT_MAX     512

/* An event as it goes over the wire, one HTTP chunk. Every one has the same length: the serial number and the time are put in with no more formatting. */
typedef struct event {
    char text[EVENT_MAX];
    size_t len, serial, stamp; /* where those stand; 0: nowhere */
} event;

#define EVENT_HEAD                                                                                                                         \
    "data: {\"id\":\"chatcmpl-bench000000000000\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"bench-1\","      \
    "\"system_fingerprint\":\"fp_aigwbench\","
#define STAMP "@ns=00000000000000000000"
#define STREAM_HEAD                                                                                                                        \
    "HTTP/1.1 200 OK\r\nServer: aigw-model\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"               \
    "Transfer-Encoding: chunked\r\n\r\n"

static event first_event, token_event, finish_event;
static uint64_t serials;

static void make_event(event *e, const char *rest)
{
    char data[EVENT_MAX - 16];
    const char *at;

    snprintf(data, sizeof data, "%s%s", EVENT_HEAD, rest);
    e->len = (size_t)snprintf(e->text, sizeof e->text, "%zx\r\n%s\n\n\r\n", strlen(data) + 2, data);
    e->serial = (size_t)(strstr(e->text, "bench000") + 5 - e->text);
    at = strstr(e->text, "@ns=");
    e->stamp = at ? (size_t)(at + 4 - e->text) : 0;
}

void answer_prepare(void)
{
    make_event(&first_event,
               "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"" STAMP "\"},\"finish_reason\":null}]}");
    make_event(&token_event, "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" " STAMP "\"},\"finish_reason\":null}]}");
    make_event(&finish_event, "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
}

static void put_digits(char *to, int digits, uint64_t v)
{
    while (digits) {
        to[--digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* Fills in whose event it is and when it is; what is returned is good until the next one. */
static char *stamped(event *e, const model_conn *c)
{
    put_digits(e->text + e->serial, SERIAL_DIGITS, c->serial);
    if (e->stamp) {
        put_digits(e->text + e->stamp, STAMP_DIGITS, model_now());
    }
    return e->text;
}

/* ------------------------------------------------------------------ JSON */

int answer_plain(model_conn *c, int status, const char *type, const char *body, size_t len)
{
    char *all;
    int n = asprintf(&all, "HTTP/1.1 %d %s\r\nServer: aigw-model\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n%.*s", status,
                     status == 200 ? "OK" : "Refused", type, len, c->close_after ? "Connection: close\r\n" : "", (int)len, body);
    int rv = n < 0 ? 0 : conn_write(c, all, (size_t)n);

    if (n >= 0) {
        free(all);
    }
    return rv ? rv : conn_answered(c);
}

static int json_answer(model_conn *c)
{
    char body[1024];
    int n = snprintf(
        body, sizeof body,
        "{\"id\":\"chatcmpl-bench%012llu\",\"object\":\"chat.completion\",\"created\":1750000000,\"model\":\"bench-1\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"An answer of about as many words as people get for a short "
        "question. @ns=%020llu\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":17,"
        "\"completion_tokens\":%ld,\"total_tokens\":%ld},\"system_fingerprint\":\"fp_aigwbench\"}",
        (unsigned long long)c->serial, (unsigned long long)model_now(), c->ask.tokens, c->ask.tokens + 17);

    return answer_plain(c, 200, "application/json", body, (size_t)n);
}

/* ------------------------------------------------------------------ streams */

/* The finish, and in one more write what comes without anything to wait for. */
static int answer_end(model_conn *c)
{
    char usage[EVENT_MAX], rest[EVENT_MAX + 64];
    int n;

    if (conn_write(c, stamped(&finish_event, c), finish_event.len)) {
        return -1;
    }
    n = snprintf(
        usage, sizeof usage,
        "data: {\"id\":\"chatcmpl-bench%012llu\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"bench-1\","
        "\"system_fingerprint\":\"fp_aigwbench\",\"choices\":[],\"usage\":{\"prompt_tokens\":17,\"completion_tokens\":%ld,"
        "\"total_tokens\":%ld}}\n\n",
        (unsigned long long)c->serial, c->ask.tokens, c->ask.tokens + 17);
    n = snprintf(rest, sizeof rest, "%x\r\n%s\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", (unsigned)n, usage);
    counts.streams_open--;
    c->state = READING; /* from here on nobody can end it early */
    return conn_write(c, rest, (size_t)n) ? -1 : conn_answered(c);
}

/* When the next token is due. Streams that were opened together are spread over the period by the golden ratio. */
static void wait_for_token(model_conn *c)
{
    double period = c->ask.rate > 0 ? 1e9 / c->ask.rate : 0, phase;

    if (!c->sent) {
        phase = (double)c->serial * 0.6180339887498949;
        c->t0 = model_now() + (uint64_t)(period * (phase - (double)(uint64_t)phase));
    }
    heap_put(&c->timer, period > 0 ? c->t0 + (uint64_t)(period * (double)c->sent) : model_now());
}

static int send_first(model_conn *c, int with_head)
{
    char both[sizeof STREAM_HEAD + EVENT_MAX];
    size_t n = with_head ? sizeof STREAM_HEAD - 1 : 0;

    if (with_head) {
        memcpy(both, STREAM_HEAD, n);
    }
    memcpy(both + n, stamped(&first_event, c), first_event.len);
    c->state = TOKENS;
    if (conn_write(c, both, n + first_event.len)) {
        return -1;
    }
    if (c->ask.tokens < 1) {
        return answer_end(c);
    }
    wait_for_token(c);
    return 0;
}

static int send_head(model_conn *c)
{
    if (!c->ask.stream) {
        return json_answer(c);
    }
    if (c->ask.delay_ms <= 0) {
        return send_first(c, 1);
    }
    c->state = FIRST;
    if (conn_write(c, STREAM_HEAD, sizeof STREAM_HEAD - 1)) {
        return -1;
    }
    heap_put(&c->timer, model_now() + (uint64_t)(c->ask.delay_ms * 1e6));
    return 0;
}

static int send_token(model_conn *c)
{
    if (c->out_len) {
        return 0; /* answer_drained() goes on */
    }
    if (c->ask.rate > 0) {
        hist_add(&counts.late, (int64_t)(model_now() - c->timer.due));
    }
    c->sent++;
    counts.tokens++;
    if (conn_write(c, stamped(&token_event, c), token_event.len)) {
        return -1;
    }
    if (c->sent >= c->ask.tokens) {
        return answer_end(c);
    }
    wait_for_token(c);
    return 0;
}

int answer_begin(model_conn *c)
{
    double wait = c->ask.head_ms + (c->ask.stream ? 0 : c->ask.delay_ms);

    c->serial = ++serials;
    c->sent = 0;
    c->state = HEAD;
    if (c->ask.stream) {
        counts.streams++;
        counts.streams_open++;
        counts.max_streams = counts.streams_open > counts.max_streams ? counts.streams_open : counts.max_streams;
    }
    if (wait > 0) {
        heap_put(&c->timer, model_now() + (uint64_t)(wait * 1e6));
        return 0;
    }
    return send_head(c);
}

int answer_step(model_conn *c)
{
    return c->state == HEAD ? send_head(c) : c->state == FIRST ? send_first(c, 0) : c->state == TOKENS ? send_token(c) : 0;
}

int answer_drained(model_conn *c)
{
    if (c->state == TOKENS && !c->timer.at) {
        wait_for_token(c);
    }
    return 0;
}
