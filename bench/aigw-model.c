/* aigw-model: a model server for benchmarks. It speaks OpenAI's chat completions, thinks nothing, keeps its pace for 10,000 streams, and tells the time.
 *
 *   aigw-model --port 8081 --tokens 100 --rate 10
 *
 * A request's body may say otherwise, since a gateway passes the body on and not the client's headers:
 *   {"model": "bench", "stream": true, "messages": [...], "aigw_bench": {"tokens": 200, "rate": 10, "head_ms": 0, "delay_ms": 0, "tag": "a1"}}
 *
 * Each event carries "@ns=" and twenty digits, CLOCK_MONOTONIC just before it was written: a client on the same machine knows how long it took to come.
 * GET /stats says how many streams are open and which tagged ones were ended by the peer, and when. One thread, epoll, no library but libc.
 */
#define _GNU_SOURCE
#include "model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

#define BACKLOG        4096
#define TIMERS_AT_ONCE 256

model_ask model_defaults = {.tokens = 100, .rate = 10};
model_counts counts;
int model_epfd;
static int port, listener, timer_fd;
static double tick_us = 500;

uint64_t model_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------ the loop */

/* What is due now, but not all of it at once: a model server that is late has always more to do, and yet must read and accept. Nor what becomes due
 * meanwhile: streams without a pace take turns. */
static void run_timers(void)
{
    uint64_t until = model_now();
    heap_timer *t;
    int n;

    for (n = 0; n < TIMERS_AT_ONCE && (t = heap_top()) && t->due <= until; n++) {
        heap_drop(t);
        answer_step((model_conn *)t);
    }
}

/* Returns epoll_wait's time-out. One wake-up for each token would cost more than the token: those of the next half millisecond share one. */
static int arm_timer(void)
{
    static uint64_t armed;
    struct itimerspec at = {{0, 0}, {0, 0}};
    const heap_timer *t = heap_top();
    uint64_t now = model_now(), wake;

    if (!t) {
        return -1;
    }
    if (t->due <= now) {
        return 0;
    }
    wake = now + (uint64_t)(tick_us * 1e3);
    wake = t->due > wake ? t->due : wake;
    if (armed <= now || wake < armed) {
        at.it_value.tv_sec = (time_t)(wake / 1000000000ULL);
        at.it_value.tv_nsec = (long)(wake % 1000000000ULL);
        timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
        armed = wake;
    }
    return -1;
}

static void loop(void)
{
    struct epoll_event evs[512];
    int i, n;

    for (;;) {
        n = epoll_wait(model_epfd, evs, 512, arm_timer());
        for (i = 0; i < n; i++) {
            if (evs[i].data.ptr == &listener) {
                conn_accept(listener);
            }
            else if (evs[i].data.ptr != &timer_fd) {
                conn_serve(evs[i].data.ptr, evs[i].events);
            }
        }
        run_timers();
    }
}

/* ------------------------------------------------------------------ options */

static void usage(void)
{
    fputs("usage: aigw-model [options]\n"
          "  --port N         on 127.0.0.1; 0, the default: a free one, told on stdout\n"
          "  --tokens N       events of a stream (100), \"tokens\" in the body's \"aigw_bench\"\n"
          "  --rate R         of them a second (10), \"rate\"; 0: as fast as they are taken\n"
          "  --head-ms T      until the head is written (0), \"head_ms\"\n"
          "  --delay-ms T     from then on until the first event (0), \"delay_ms\"; without \"stream\": until the answer\n"
          "  --tick-us T      tokens that are due within this time share a wake-up (500)\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option longs[] = {{"port", 1, NULL, 'p'},    {"tokens", 1, NULL, 'n'},   {"rate", 1, NULL, 'r'},
                                          {"head-ms", 1, NULL, 'h'}, {"delay-ms", 1, NULL, 'd'}, {"tick-us", 1, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    int which;

    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (which) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'n':
            model_defaults.tokens = atol(optarg);
            break;
        case 'r':
            model_defaults.rate = atof(optarg);
            break;
        case 'h':
            model_defaults.head_ms = atof(optarg);
            break;
        case 'd':
            model_defaults.delay_ms = atof(optarg);
            break;
        case 't':
            tick_us = atof(optarg);
            break;
        default:
            usage();
        }
    }
    if (optind < argc || port < 0 || port > 65535) {
        usage();
    }
}

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

static void start_listening(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    socklen_t len = sizeof a;
    int one = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, BACKLOG) ||
        getsockname(listener, (struct sockaddr *)&a, &len)) {
        give_up("listen");
    }
    port = ntohs(a.sin_port);
}

int main(int argc, char **argv)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listener};
    struct rlimit files;

    read_options(argc, argv);
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    answer_prepare();
    start_listening();
    model_epfd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (model_epfd < 0 || timer_fd < 0 || epoll_ctl(model_epfd, EPOLL_CTL_ADD, listener, &e)) {
        give_up("epoll");
    }
    e.events = EPOLLIN | EPOLLET; /* edge: nobody reads it */
    e.data.ptr = &timer_fd;
    if (epoll_ctl(model_epfd, EPOLL_CTL_ADD, timer_fd, &e)) {
        give_up("timerfd");
    }
    printf("{\"port\": %d}\n", port);
    fflush(stdout);
    loop();
    return 0;
}
