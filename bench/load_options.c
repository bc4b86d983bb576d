/* What aigw-load is told to do, and the requests that come of it. */
#define _GNU_SOURCE
#include "load.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

load_options opt = {.host = "127.0.0.1",
                    .path = "/v1/chat/completions",
                    .done = "[DONE]",
                    .model = "bench",
                    .streams = 100,
                    .tokens = 100,
                    .rate = 10,
                    .status = 200,
                    .pause_ms = 20,
                    .timeout = 120};

static void usage(void)
{
    fputs("usage: aigw-load --port N [options]\n"
          "  --host ADDRESS        127.0.0.1\n"
          "  --path PATH           /v1/chat/completions\n"
          "  --header 'NAME: VALUE'\n"
          "  --addresses N         the clients come from so many addresses, 127.0.0.2 and on (127.0.0.1 alone)\n"
          "  --tls                 https, whatever the certificate\n"
          "what is asked:\n"
          "  --model NAME          bench\n"
          "  --tokens N            aigw-model: so many events a stream (100)\n"
          "  --rate R              aigw-model: so many a second (10); 0: as fast as they are taken\n"
          "  --delay-ms T          aigw-model: until the first one (0)\n"
          "  --body JSON|@FILE     what is posted, instead of these\n"
          "  --json                an answer without a stream\n"
          "  --status N            which status is no loss (200)\n"
          "how often:\n"
          "  --streams N           how many at once (100)\n"
          "  --total M             how many in all (as many as --streams)\n"
          "  --seconds S           or for how long; --warmup W seconds before that do not count\n"
          "  --ramp R              so many of the first ones a second (all at once)\n"
          "  --keep-alive          the next stream of a slot uses the same connection\n"
          "  --timeout S           for each stream (120)\n"
          "what else:\n"
          "  --abort-percent X     so many are hung up on, after 0 to 5 events\n"
          "  --hold                when all have had an event: say {\"open\": N}, and go on until stdin says or ends something;\n"
          "                        with --json and --keep-alive: connections that are idle after one answer\n"
          "  --leave K             while --streams are open K more clients leave in each phase, every --pause-ms (20);\n"
          "                        needs aigw-model's port for /stats: --stats-port N\n"
          "  --done TEXT           the data that ends a stream ([DONE]); empty: any end of the body will do\n"
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

enum { FLAG, LONG, INT, REAL, TEXT };

/* Everything that is but put down somewhere. */
static const struct plain_option {
    const char *name;
    int kind;
    void *where;
} plain[] = {{"host", TEXT, &opt.host},
             {"port", INT, &opt.port},
             {"path", TEXT, &opt.path},
             {"model", TEXT, &opt.model},
             {"tokens", LONG, &opt.tokens},
             {"rate", REAL, &opt.rate},
             {"delay-ms", REAL, &opt.delay_ms},
             {"streams", LONG, &opt.streams},
             {"total", LONG, &opt.total},
             {"seconds", REAL, &opt.seconds},
             {"warmup", REAL, &opt.warmup},
             {"ramp", REAL, &opt.ramp},
             {"timeout", REAL, &opt.timeout},
             {"keep-alive", FLAG, &opt.keep_alive},
             {"json", FLAG, &opt.json},
             {"status", INT, &opt.status},
             {"addresses", INT, &opt.addresses},
             {"tls", FLAG, &opt.tls},
             {"hold", FLAG, &opt.hold},
             {"abort-percent", INT, &opt.abort_percent},
             {"leave", LONG, &opt.leave},
             {"pause-ms", REAL, &opt.pause_ms},
             {"stats-port", INT, &opt.stats_port},
             {"done", TEXT, &opt.done},
             {"events-file", TEXT, &opt.events_file}};

#define PLAIN (sizeof plain / sizeof *plain)

static void set_plain(const struct plain_option *p, const char *value)
{
    switch (p->kind) {
    case FLAG:
        *(int *)p->where = 1;
        break;
    case INT:
        *(int *)p->where = atoi(value);
        break;
    case LONG:
        *(long *)p->where = atol(value);
        break;
    case REAL:
        *(double *)p->where = atof(value);
        break;
    default:
        *(const char **)p->where = value;
    }
}

static void parse(int argc, char **argv)
{
    struct option longs[PLAIN + 3];
    size_t i, used;
    int which;

    memset(longs, 0, sizeof longs);
    for (i = 0; i < PLAIN; i++) {
        longs[i] = (struct option){plain[i].name, plain[i].kind != FLAG, NULL, 1000 + (int)i};
    }
    longs[PLAIN] = (struct option){"body", 1, NULL, 'b'};
    longs[PLAIN + 1] = (struct option){"header", 1, NULL, 'H'};
    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (which >= 1000) {
            set_plain(&plain[which - 1000], optarg);
        }
        else if (which == 'b') {
            opt.body = read_body(optarg);
        }
        else if (which == 'H') {
            used = strlen(opt.header);
            snprintf(opt.header + used, sizeof opt.header - used, "%s\r\n", optarg);
        }
        else {
            usage();
        }
    }
    if (optind < argc) {
        usage();
    }
}

void read_options(int argc, char **argv)
{
    parse(argc, argv);
    if (opt.port < 1 || opt.port > 65535 || opt.streams < 1 || (opt.leave && !opt.stats_port)) {
        usage();
    }
#ifndef HAVE_LIBSSL
    if (opt.tls) {
        fputs("aigw-load: built without OpenSSL (Debian: libssl-dev), so there is no --tls\n", stderr);
        exit(2);
    }
#endif
    if (opt.json) {
        opt.done = "";
    }
    if (opt.hold || opt.leave) {
        opt.total = opt.streams;
    }
    opt.total = opt.total ? opt.total : opt.seconds > 0 ? LONG_MAX : opt.streams;
    if (opt.events_file && !(events_out = fopen(opt.events_file, "w"))) {
        perror(opt.events_file);
        exit(2);
    }
}

static void must(int printed)
{
    if (printed < 0) {
        perror("aigw-load");
        exit(2);
    }
}

char *make_body(const char *more)
{
    char *text = NULL;

    if (opt.body) {
        must(asprintf(&text, "%s", opt.body));
        return text;
    }
    must(asprintf(&text,
                  "{\"model\":\"%s\",%s\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},{\"role\":\"user\","
                  "\"content\":\"What is the way from the station to the harbour?\"}],\"temperature\":0.7,"
                  "\"aigw_bench\":{\"tokens\":%ld,\"rate\":%g,\"delay_ms\":%g%s}}",
                  opt.model, opt.json ? "" : "\"stream\":true,", opt.tokens, opt.rate, opt.delay_ms, more));
    return text;
}

char *make_request(const char *body, size_t *len)
{
    char *text = NULL;

    must(asprintf(&text, "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s%s\r\n%s", opt.path,
                  opt.host, opt.port, strlen(body), opt.keep_alive ? "" : "Connection: close\r\n", opt.header, body));
    *len = strlen(text);
    return text;
}
