/* aigw-load: opens many server-sent event streams at once, keeps them apart, and tells whether any was lost and how fast they were.
 *
 *   aigw-load --port 8080 --streams 5000 --ramp 1000 --tokens 200 --rate 10
 *   aigw-load --port 8080 --json --keep-alive --streams 64 --seconds 5 --warmup 1
 *
 * One thread, epoll, no library but libc, and OpenSSL for --tls. Each of --streams slots runs one request after the other until --total have been begun.
 * Prints JSON; the exit status is 0 only if every stream that was not ended on purpose came to its end. The time that a token took on its way comes from
 * the stamp that aigw-model, on the same machine, puts into it.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

load_counts count;
slot *slots;
long slots_n;
slot **idle;
long idle_n;
int epfd;
FILE *events_out;
volatile int stopping;

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------ the loop */

/* Those that are held open may be silent for long once they have begun. */
static void time_out(void)
{
    uint64_t t = now_ns();
    long i;

    for (i = 0; i < slots_n; i++) {
        if (slots[i].serial >= 0 && (double)(t - slots[i].began) / 1e9 > opt.timeout && !((opt.hold || opt.leave) && slots[i].first)) {
            stream_over(&slots[i], TIMEOUT);
        }
    }
}

/* Something on a connection between two streams: the other side has hung up, or it is TLS's own business. */
static void serve_idle(slot *s)
{
    char byte;
    ssize_t n = s->tls ? conn_recv(s, &byte, 1) : 0; /* plain: the end, or bytes that nobody asked for */

    if (n >= 0 || errno != EAGAIN) {
        count.idle_closed++;
        conn_close(s, 0);
    }
}

static void serve(const struct epoll_event *e)
{
    slot *s = e->data.ptr;

    if (!s) {
        stopping = 1; /* stdin, with --hold */
    }
    else if (s->fd >= 0 && s->serial >= 0) {
        stream_serve(s, e->events);
    }
    else if (s->fd >= 0) {
        serve_idle(s);
    }
}

static void loop(int (*step)(void))
{
    struct epoll_event evs[512];
    uint64_t next = 0;
    int i, n, wait;

    while ((wait = step()) >= 0) {
        n = epoll_wait(epfd, evs, 512, wait);
        for (i = 0; i < n; i++) {
            serve(&evs[i]);
        }
        if (now_ns() > next) {
            time_out();
            next = now_ns() + 1000000000ULL;
        }
    }
}

/* ------------------------------------------------------------------ the process */

static void on_signal(int number)
{
    stopping = 1;
}

static void prepare(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    struct rlimit files;
    char *body = make_body(""), *request;
    size_t len;
    long i;

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* OpenSSL writes with write() */
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    slots_n = opt.streams + opt.leave;
    slots = calloc((size_t)slots_n, sizeof *slots);
    idle = calloc((size_t)slots_n, sizeof(slot *));
    epfd = epoll_create1(0);
    if (!slots || !idle || epfd < 0) {
        perror("aigw-load");
        exit(2);
    }
    request = make_request(body, &len);
    free(body);
    for (i = slots_n - 1; i >= 0; i--) {
        slots[i].fd = slots[i].serial = -1;
        slots[i].request = request;
        slots[i].request_len = len;
        if (i < opt.streams) {
            idle[idle_n++] = &slots[i];
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t t0;
    long lost;

    read_options(argc, argv);
    prepare();
    t0 = count.measured_from = now_ns();
    loop(opt.leave ? leave_step : opt.hold ? hold_step : run_step);
    lost = report((double)(now_ns() - t0) / 1e9);
    if (events_out) {
        fclose(events_out);
    }
    return lost ? 1 : 0;
}
