/* aigw-model's parts: aigw-model.c has options and the loop; model_conn.c a connection; model_request.c takes a request apart; model_answer.c writes
 * the answer, event by event; model_stats.c says how it went. One thread. */
#ifndef AIGW_MODEL_H
#define AIGW_MODEL_H

#include "heap.h"
#include "hist.h"

#include <stddef.h>
#include <stdint.h>

#define MODEL_TAG 32

/* What a request asks for: the command line's, overridden by members of "aigw_bench" in the body. */
typedef struct model_ask {
    int stream;
    long tokens;         /* events with content */
    double rate;         /* of them a second; 0: as fast as they are taken */
    double head_ms;      /* until the head of the answer is written */
    double delay_ms;     /* from then on until the first event; JSON: until all of it */
    char tag[MODEL_TAG]; /* to find it again in /stats */
} model_ask;

enum model_state { READING, HEAD, FIRST, TOKENS };

/* A connection of the gateway's; with HTTP/1.1 one request after the other on it. */
typedef struct model_conn {
    heap_timer timer; /* first: the heap gives it back */
    int fd, close_after;
    unsigned watched; /* epoll's events */
    enum model_state state;
    model_ask ask;
    uint64_t serial; /* of the answer */
    uint64_t t0;     /* when token 0 is due, ns */
    long sent;       /* tokens */
    char *in, *out;  /* what has come and is no whole request yet; what the kernel has not taken */
    size_t in_len, in_room, out_len, out_at, out_room;
} model_conn;

/* A request in a buffer. */
typedef struct model_request {
    const char *method, *path; /* NUL-terminated */
    char *body;
    size_t body_len, all; /* how much of the buffer it was */
    int close, refused;   /* refused: the status to answer with */
} model_request;

typedef struct model_counts {
    long open, streams_open, max_streams, requests, streams, tokens, writes, blocked, ended_early;
    hist late; /* how much after its time a token was written */
} model_counts;

extern model_ask model_defaults;
extern model_counts counts;
extern int model_epfd;

uint64_t model_now(void); /* ns, monotonic */

/* model_conn.c. What returns int: -1, it is closed and freed. */
void conn_accept(int listener);
int conn_serve(model_conn *c, unsigned events);
int conn_write(model_conn *c, const char *p, size_t n);
int conn_answered(model_conn *c); /* the next request, please */

/* model_request.c. 1: there is one; 0: not all of it is there; -1: it is none. */
int request_parse(char *p, size_t n, model_request *q);
void request_ask(const model_request *q, model_ask *ask);

/* model_answer.c */
void answer_prepare(void);
int answer_begin(model_conn *c);
int answer_step(model_conn *c);    /* its timer is due */
int answer_drained(model_conn *c); /* the kernel has taken what it had not */
int answer_plain(model_conn *c, int status, const char *type, const char *body, size_t len);

/* model_stats.c */
void stats_closed(const char *tag); /* an answer was ended by the peer, just now */
char *stats_json(size_t *len);      /* to be freed */

#endif
