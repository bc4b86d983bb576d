/* aigw-load's parts: aigw-load.c has the options, the loop and the report; load_stream.c has a stream, from its connection to its verdict. */
#ifndef AIGW_LOAD_H
#define AIGW_LOAD_H

#include <stdio.h>
#include <sys/types.h>

#define LOAD_LINE    256    /* of a header or event line that much is looked at */
#define LOAD_BUCKETS 200000 /* of 0.1 ms: gaps up to 20 s */

enum phase { CONNECTING, STATUS, HEADERS, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, BODY_LENGTH, BODY_EOF };
enum reason { OK, CONNECT, HTTP_STATUS, ERROR_EVENT, TRUNCATED, RESET, NO_DONE, PROTOCOL, TIMEOUT, REASONS };

/* One connection, with one stream after the other on it. */
typedef struct slot {
    int fd;              /* -1: none */
    int reused, closing; /* had a stream before; must not have another */
    enum phase phase;
    size_t sent, line_len, field_len;
    long long left; /* bytes of the chunk or of the body; -1: not said */
    int chunked, status, done, error, has_data;
    long serial, events;                    /* serial -1: idle */
    long abort_after;                       /* events; -1: not aborted */
    double began, first, last;              /* of this stream, seconds; first 0: no event yet */
    char line[LOAD_LINE], field[LOAD_LINE]; /* of the body, and of what is around it */
} slot;

typedef struct load_options {
    const char *host, *path, *body, *done, *events_file;
    int port, keep_alive, abort_percent;
    long streams, total;
    double ramp, timeout;
    char header[2048];
} load_options;

typedef struct load_counts {
    long opened, completed, aborted, reconnects, events, open, max_open;
    long failed[REASONS], statuses[600], ttfts, gaps;
    double gap_max; /* ms */
    float *ttft;    /* ms, of each stream that had an event */
    unsigned gap[LOAD_BUCKETS];
} load_counts;

/* The whole run; made by main() before the first stream. */
extern load_options opt;
extern load_counts count;
extern slot **idle; /* slots that have nothing to do, a stack */
extern long idle_n;
extern int epfd;
extern char *request;
extern size_t request_len;
extern FILE *events_out; /* or NULL */
extern const char *const reason_names[REASONS];

double now(void); /* seconds, monotonic */

void stream_begin(slot *s);                  /* the next one, in this idle slot */
void stream_serve(slot *s, unsigned events); /* what epoll says of it */
void stream_over(slot *s, enum reason why, int aborted);
void stream_hang_up(slot *s, int rst);

#endif
