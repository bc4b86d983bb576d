/* aigw-load --leave: while many streams are open, some clients leave, one after the other, in each phase of a stream. The model server tells when it
 * saw them go; it is on the same machine, so that its clock is ours. */
#define _GNU_SOURCE
#include "load.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define FOREVER_MS "600000"
#define READY_NS   10000000000ULL /* for so long we wait until the model server has all requests */
#define SETTLE_NS  500000000ULL   /* and then until the gateway has gone back to waiting */
#define SEEN_NS    5000000000ULL  /* for so long until it has seen all leave */
#define POLL_NS    50000000ULL
#define STATS_MAX  (4 << 20)
#define PHASES     3

enum leave_state { OPENING, GETTING_READY, SETTLING, LEAVING, LOOKING };

static const struct leave_kind {
    const char *name, *members;
} kinds[PHASES] = {{"before_head", ",\"head_ms\":" FOREVER_MS}, {"before_token", ",\"delay_ms\":" FOREVER_MS}, {"mid_stream", ""}};

static struct leave_result {
    hist took;
    long seen, unready;
} results[PHASES];

static char **requests; /* of the leavers; sent already when the next phase makes new ones */
static uint64_t *left;  /* of this phase, by leaver: when; 0: has been seen */
static int phase;       /* index of kinds */
static enum leave_state state;
static uint64_t since; /* of the state */
static long streams_before, next;

static void enter(enum leave_state to)
{
    state = to;
    since = now_ns();
}

/* ------------------------------------------------------------------ what the model server says */

/* GET /stats, waiting for it: a few milliseconds, and never so long that our streams fill up. NULL if there is none. */
static const char *stats(void)
{
    static const char ask[] = "GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static char *text;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)opt.stats_port)};
    size_t len = 0;
    ssize_t n = -1;
    struct timeval patience = {.tv_usec = 500000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (!text && !(text = malloc(STATS_MAX))) {
        return NULL;
    }
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) && !connect(fd, (struct sockaddr *)&a, sizeof a) &&
        send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) == sizeof ask - 1) {
        while (len < STATS_MAX - 1 && (n = recv(fd, text + len, STATS_MAX - 1 - len, 0)) > 0) {
            len += (size_t)n;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    text[len] = '\0';
    return n ? NULL : text;
}

static long streams_open(void)
{
    const char *p = stats(), *key = "\"streams_open\": ";

    p = p ? strstr(p, key) : NULL;
    return p ? atol(p + strlen(key)) : -1;
}

static void look_for_leavers(void)
{
    const char *p = stats();
    unsigned long long at;
    long i;
    int of;

    while (p && (p = strstr(p, "{\"tag\": \"left-"))) {
        if (sscanf(p, "{\"tag\": \"left-%d-%ld\", \"ns\": %llu}", &of, &i, &at) == 3 && of == phase && i >= 0 && i < opt.leave && left[i]) {
            hist_add(&results[phase].took, (int64_t)(at - left[i]));
            results[phase].seen++;
            left[i] = 0;
        }
        p++;
    }
}

/* ------------------------------------------------------------------ one phase */

static slot *leaver(long i)
{
    return &slots[opt.streams + i];
}

static void begin_phase(void)
{
    char more[128], *body;
    long i;

    streams_before = streams_open();
    for (i = 0; i < opt.leave; i++) {
        slot *s = leaver(i);

        snprintf(more, sizeof more, "%s,\"tag\":\"left-%d-%ld\"", kinds[phase].members, phase, i);
        body = make_body(more);
        free(requests[i]);
        s->request = requests[i] = make_request(body, &s->request_len);
        free(body);
        stream_begin(s);
    }
    next = 0;
    enter(GETTING_READY);
}

/* Those in mid-stream have had some events; of the others only the model server knows. */
static int ready(void)
{
    long i;

    for (i = 0; i < opt.leave && phase == PHASES - 1; i++) {
        if (leaver(i)->serial >= 0 && leaver(i)->events < 3) {
            return 0;
        }
    }
    return streams_open() >= streams_before + opt.leave;
}

static void leave_one(void)
{
    slot *s = leaver(next);

    if (s->serial < 0) {
        results[phase].unready++; /* is over already, which is no client's leaving */
        left[next++] = 0;
        return;
    }
    left[next] = now_ns();
    count.aborted++;
    stream_leave(s, next % 2);
    next++;
}

static int phase_is_over(void)
{
    long i, missing = 0;

    look_for_leavers();
    for (i = 0; i < opt.leave; i++) {
        missing += left[i] != 0;
    }
    return !missing || now_ns() - since > SEEN_NS;
}

static void let_go(void)
{
    long i;

    for (i = 0; i < opt.streams; i++) {
        if (slots[i].serial >= 0) {
            count.held++;
            stream_leave(&slots[i], 0);
        }
    }
}

/* What there is to do from time to time. Returns after how many ms again; -1: it is over. */
static int step(void)
{
    switch (state) {
    case OPENING:
        begin_some();
        if (all_begun()) {
            begin_phase();
        }
        return 2;
    case GETTING_READY:
        if (ready() || now_ns() - since > READY_NS) {
            enter(SETTLING);
        }
        return 50;
    case SETTLING:
        if (now_ns() - since > SETTLE_NS) {
            enter(LEAVING);
        }
        return 50;
    case LEAVING:
        if (next < opt.leave) {
            leave_one();
            return (int)opt.pause_ms;
        }
        enter(LOOKING);
        return 100;
    default: /* LOOKING */
        if (!phase_is_over()) {
            return 50;
        }
        if (++phase == PHASES) {
            let_go();
            return -1;
        }
        begin_phase();
        return 50;
    }
}

int leave_step(void)
{
    static uint64_t again;
    uint64_t now = now_ns();
    int wait;

    if (!left) {
        left = calloc((size_t)opt.leave, sizeof *left);
        requests = calloc((size_t)opt.leave, sizeof *requests);
        if (!left || !requests) {
            perror("aigw-load");
            exit(2);
        }
    }
    if (stopping) {
        let_go();
        return -1;
    }
    if (now < again) {
        return (int)((again - now) / 1000000) + 1; /* the streams have woken us */
    }
    wait = step();
    again = now_ns() + (uint64_t)(wait < 0 ? 0 : wait) * 1000000;
    return wait;
}

void leave_report(FILE *out)
{
    int i;

    if (!opt.leave) {
        return;
    }
    fputs(", \"leave\": {", out);
    for (i = 0; i < PHASES; i++) {
        fprintf(out, "%s\"%s\": {\"left\": %ld, \"seen\": %ld, \"took_ms\": ", i ? ", " : "", kinds[i].name, opt.leave - results[i].unready,
                results[i].seen);
        hist_quantiles(&results[i].took, out, 1e6);
        fputc('}', out);
    }
    fputc('}', out);
}
