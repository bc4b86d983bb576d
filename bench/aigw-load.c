/* aigw-load: opens many server-sent event streams at once, keeps them apart, and tells whether any was lost and how fast they were.
 *
 *   aigw-load --port 8080 --streams 5000 --ramp 500 --body '{"model":"echo","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
 *
 * One thread, epoll, no library but libc. Each of --streams slots runs one request after the other until --total have been begun. Prints JSON; the exit
 * status is 0 only if every stream that was not aborted on purpose came to its end.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define RAMP_TICK_MS 2

load_options opt = {.host = "127.0.0.1",
                    .path = "/v1/chat/completions",
                    .done = "[DONE]",
                    .streams = 100,
                    .timeout = 120,
                    .body =
                        "{\"model\":\"echo\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"one two three four five\"}]}"};
load_counts count;
slot **idle;
long idle_n;
int epfd;
char *request;
size_t request_len;
FILE *events_out;
static slot *slots;

double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------ the run */

static void begin_some(double t0)
{
    long upto = opt.total, i;
    double allowed = opt.ramp * (now() - t0) + 1;

    if (opt.ramp > 0 && count.opened < opt.streams && allowed < (double)upto) {
        upto = (long)allowed;
    }
    /* those that have just failed may be idle again at once: not more than one round */
    for (i = idle_n; i > 0 && count.opened < upto; i--) {
        slot *s = idle[--idle_n];
        stream_begin(s);
    }
}

static void time_out(void)
{
    double t = now();
    long i;

    for (i = 0; i < opt.streams; i++) {
        if (slots[i].serial >= 0 && t - slots[i].began > opt.timeout) {
            stream_over(&slots[i], TIMEOUT, 0);
        }
    }
}

static void run(double t0)
{
    struct epoll_event evs[512];
    double next = t0 + 1;
    int i, n;

    while (count.opened < opt.total || count.open) {
        begin_some(t0);
        n = epoll_wait(epfd, evs, 512, count.opened < opt.total ? RAMP_TICK_MS : 500);
        for (i = 0; i < n; i++) {
            slot *s = evs[i].data.ptr;
            if (s->fd >= 0 && s->serial >= 0) {
                stream_serve(s, evs[i].events);
            }
            else if (s->fd >= 0) {
                stream_hang_up(s, 0); /* closed between two streams */
            }
        }
        if (now() > next) {
            time_out();
            next = now() + 1;
        }
    }
}

/* ------------------------------------------------------------------ the report */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static double ttft(double p)
{
    return count.ttfts ? (double)count.ttft[(long)((double)(count.ttfts - 1) * p)] : 0;
}

static double gap(double p)
{
    double upto = (double)count.gaps * p, n = 0;
    int i;

    for (i = 0; i < LOAD_BUCKETS; i++) {
        if ((n += count.gap[i]) > upto) {
            return i / 10.0;
        }
    }
    return count.gap_max;
}

/* Returns how many streams were lost. */
static long report(double seconds)
{
    long lost = 0;
    int i, first = 1;

    qsort(count.ttft, (size_t)count.ttfts, sizeof *count.ttft, by_value);
    printf("{\"opened\": %ld, \"completed\": %ld, \"aborted\": %ld, \"max_open\": %ld, \"reconnects\": %ld, \"failed\": {", count.opened,
           count.completed, count.aborted, count.max_open, count.reconnects);
    for (i = 1; i < REASONS; i++) {
        lost += count.failed[i];
        printf("%s\"%s\": %ld", i > 1 ? ", " : "", reason_names[i], count.failed[i]);
    }
    printf("}, \"statuses\": {");
    for (i = 0; i < 600; i++) {
        if (count.statuses[i]) {
            printf("%s\"%d\": %ld", first ? "" : ", ", i, count.statuses[i]);
            first = 0;
        }
    }
    printf("}, \"lost\": %ld, \"events\": %ld, \"seconds\": %.3f, \"ttft_ms\": {\"p50\": %.1f, \"p99\": %.1f}, \"gap_ms\": {\"p50\": %.1f, "
           "\"p99\": %.1f, \"max\": %.1f}}\n",
           lost, count.events, seconds, ttft(.5), ttft(.99), gap(.5), gap(.99), count.gap_max);
    return lost;
}

/* ------------------------------------------------------------------ options */

static void usage(void)
{
    fputs("usage: aigw-load --port N [options]\n"
          "  --host ADDRESS        127.0.0.1\n"
          "  --path PATH           /v1/chat/completions\n"
          "  --body JSON|@FILE     what is posted\n"
          "  --header 'NAME: VALUE'\n"
          "  --streams N           how many at once (100)\n"
          "  --total M             how many in all (as many as --streams)\n"
          "  --ramp R              so many of the first ones a second (all at once)\n"
          "  --keep-alive          the next stream of a slot uses the same connection\n"
          "  --abort-percent X     so many are hung up on, after 0 to 5 events\n"
          "  --done TEXT           the data that ends a stream ([DONE]); empty: any end of the body will do\n"
          "  --timeout S           for each stream (120)\n"
          "  --events-file FILE    a line for each stream\n",
          stderr);
    exit(2);
}

static const char *read_body(const char *arg)
{
    FILE *f = *arg == '@' ? fopen(arg + 1, "r") : NULL;
    char *text = NULL;
    size_t size = 0;

    if (*arg != '@') {
        return arg;
    }
    if (!f || getdelim(&text, &size, '\0', f) < 0) {
        perror(arg + 1);
        exit(2);
    }
    fclose(f);
    return text;
}

static void set_option(int which)
{
    size_t used = strlen(opt.header);

    switch (which) {
    case 'h':
        opt.host = optarg;
        break;
    case 'p':
        opt.port = atoi(optarg);
        break;
    case 'P':
        opt.path = optarg;
        break;
    case 'b':
        opt.body = read_body(optarg);
        break;
    case 'H':
        snprintf(opt.header + used, sizeof opt.header - used, "%s\r\n", optarg);
        break;
    case 's':
        opt.streams = atol(optarg);
        break;
    case 'm':
        opt.total = atol(optarg);
        break;
    case 'r':
        opt.ramp = atof(optarg);
        break;
    case 'k':
        opt.keep_alive = 1;
        break;
    case 'a':
        opt.abort_percent = atoi(optarg);
        break;
    case 'd':
        opt.done = optarg;
        break;
    case 't':
        opt.timeout = atof(optarg);
        break;
    case 'e':
        opt.events_file = optarg;
        break;
    default:
        usage();
    }
}

static void read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"host", 1, NULL, 'h'},        {"port", 1, NULL, 'p'},    {"path", 1, NULL, 'P'},          {"body", 1, NULL, 'b'},
        {"header", 1, NULL, 'H'},      {"streams", 1, NULL, 's'}, {"total", 1, NULL, 'm'},         {"ramp", 1, NULL, 'r'},
        {"keep-alive", 0, NULL, 'k'},  {"done", 1, NULL, 'd'},    {"abort-percent", 1, NULL, 'a'}, {"timeout", 1, NULL, 't'},
        {"events-file", 1, NULL, 'e'}, {NULL, 0, NULL, 0}};
    int which;

    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        set_option(which);
    }
    if (optind < argc || opt.port < 1 || opt.port > 65535 || opt.streams < 1) {
        usage();
    }
    opt.total = opt.total ? opt.total : opt.streams;
    if (opt.events_file && !(events_out = fopen(opt.events_file, "w"))) {
        perror(opt.events_file);
        exit(2);
    }
}

static void prepare(void)
{
    struct rlimit files;
    int n;
    long i;

    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    slots = calloc((size_t)opt.streams, sizeof *slots);
    idle = calloc((size_t)opt.streams, sizeof(slot *));
    count.ttft = calloc((size_t)opt.total, sizeof *count.ttft);
    n = asprintf(&request, "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s%s\r\n%s",
                 opt.path, opt.host, opt.port, strlen(opt.body), opt.keep_alive ? "" : "Connection: close\r\n", opt.header, opt.body);
    epfd = epoll_create1(0);
    if (!slots || !idle || !count.ttft || n < 0 || epfd < 0) {
        perror("aigw-load");
        exit(2);
    }
    request_len = (size_t)n;
    for (i = 0; i < opt.streams; i++) {
        slots[i].fd = -1;
        slots[i].serial = -1;
        idle[idle_n++] = &slots[i];
    }
}

int main(int argc, char **argv)
{
    double t0;
    long lost;

    read_options(argc, argv);
    prepare();
    t0 = now();
    run(t0);
    lost = report(now() - t0);
    if (events_out) {
        fclose(events_out);
    }
    return lost ? 1 : 0;
}
