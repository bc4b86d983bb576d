/* aigw-load's parts: aigw-load.c has main() and the loop; load_options.c; load_conn.c a connection, plain or TLS; load_stream.c a stream, from its
 * beginning to its verdict; load_http.c takes answers apart; load_run.c, load_hold.c and load_leave.c are what can be done; load_report.c. One thread. */
#ifndef AIGW_LOAD_H
#define AIGW_LOAD_H

#include "hist.h"

#include <stdio.h>
#include <sys/types.h>

#define LOAD_LINE  1024 /* of a line of the body that much is looked at */
#define LOAD_FIELD 256  /* and of one of the head */

enum phase { CONNECTING, STATUS, HEADERS, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, BODY_LENGTH, BODY_EOF };
enum reason { OK, CONNECT, HTTP_STATUS, ERROR_EVENT, TRUNCATED, RESET, NO_DONE, PROTOCOL, TIMEOUT, REASONS };

/* One connection, with one stream after the other on it. */
typedef struct slot {
    int fd;              /* -1: none */
    void *tls;           /* SSL, or NULL */
    unsigned watched;    /* epoll's events */
    int reused, closing; /* had a stream before; must not have another */
    enum phase phase;
    const char *request; /* what is sent; most have the same */
    size_t request_len, sent, line_len, field_len;
    long long left; /* bytes of the chunk or of the body; -1: not said */
    int chunked, status, done, error, has_data;
    long serial, events;                     /* serial -1: idle */
    long abort_after;                        /* events; -1: not aborted */
    uint64_t began, first, last;             /* of this stream, ns; first 0: no event yet */
    uint64_t stamp;                          /* of the event being read; 0: it has none */
    char line[LOAD_LINE], field[LOAD_FIELD]; /* of the body, and of what is around it */
} slot;

typedef struct load_options {
    const char *host, *path, *body, *done, *events_file, *model;
    int port, stats_port, keep_alive, json, status, addresses, tls, hold, abort_percent;
    long streams, total, tokens, leave;
    double ramp, timeout, seconds, warmup, rate, delay_ms, pause_ms;
    char header[2048];
} load_options;

typedef struct load_counts {
    long opened, completed, aborted, held, reconnects, idle_closed, events, tokens, open, started, max_open;
    long failed[REASONS], statuses[600];
    uint64_t measured_from;   /* ns: the end of the warm-up */
    hist ttft, gap, latency;  /* first event, between two, the whole answer */
    hist added, added_steady; /* from the model server's stamp to here; of these what came while all streams were open and none was over */
} load_counts;

/* The whole run; made by main() before the first stream. */
extern load_options opt;
extern load_counts count;
extern slot *slots;
extern long slots_n;
extern slot **idle; /* slots that have nothing to do, a stack */
extern long idle_n;
extern int epfd;
extern FILE *events_out; /* or NULL */
extern const char *const reason_names[REASONS];
extern volatile int stopping; /* a signal, or with --hold stdin, has asked for the end */

uint64_t now_ns(void); /* monotonic */

void read_options(int argc, char **argv);
/* The body for the options, with more members of "aigw_bench" (they begin with a comma) or "". Both are malloc()ed. */
char *make_body(const char *more);
char *make_request(const char *body, size_t *len);

int conn_open(slot *s);      /* begins to */
int conn_connected(slot *s); /* how that went */
ssize_t conn_send(slot *s, const char *p, size_t n);
ssize_t conn_recv(slot *s, char *p, size_t n);
int conn_pending(const slot *s); /* bytes that epoll does not know of */
void conn_close(slot *s, int rst);

void stream_begin(slot *s);                  /* the next one, in this idle slot */
void stream_serve(slot *s, unsigned events); /* what epoll says of it */
void stream_over(slot *s, enum reason why);
void stream_leave(slot *s, int rst); /* hangs up on purpose; who wants it counts it */
void stream_restart(slot *s);        /* on another connection: this one was closed while idle */

void http_bytes(slot *s, const char *p, size_t n); /* may end the stream */
void http_ended(slot *s, int error);               /* the other side has hung up */

void begin_some(void); /* as many streams as --ramp and --total allow by now */
int all_begun(void);   /* and each had an event, or failed */

/* Each of these looks after what is to be begun; they return how many ms epoll may wait, -1: it is all over. */
int run_step(void);
int hold_step(void);
int leave_step(void);

long report(double seconds);  /* returns how many streams were lost */
void leave_report(FILE *out); /* a member of the report, with a comma before it; nothing in other modes */

#endif
