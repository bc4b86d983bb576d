/* What aigw-model says of itself. */
#define _GNU_SOURCE
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSED_MAX 65536

/* Tagged answers that the peer has ended. */
static struct closed {
    char tag[MODEL_TAG];
    uint64_t at; /* ns, monotonic */
} * closed;
static long closed_n;

void stats_closed(const char *tag)
{
    if (!*tag || closed_n == CLOSED_MAX) {
        return;
    }
    if (!closed && !(closed = calloc(CLOSED_MAX, sizeof *closed))) {
        return;
    }
    memcpy(closed[closed_n].tag, tag, MODEL_TAG);
    closed[closed_n++].at = model_now();
}

char *stats_json(size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    long i;

    if (!f) {
        perror("stats");
        exit(2);
    }
    fprintf(f,
            "{\"now_ns\": %llu, \"connections\": %ld, \"streams_open\": %ld, \"max_streams\": %ld, \"requests\": %ld, \"streams\": %ld, "
            "\"tokens\": %ld, \"writes\": %ld, \"blocked\": %ld, \"ended_early\": %ld, \"late_us\": ",
            (unsigned long long)model_now(), counts.open, counts.streams_open, counts.max_streams, counts.requests, counts.streams,
            counts.tokens, counts.writes, counts.blocked, counts.ended_early);
    hist_quantiles(&counts.late, f, 1e3);
    fputs(", \"closed\": [", f);
    for (i = 0; i < closed_n; i++) {
        fprintf(f, "%s{\"tag\": \"%s\", \"ns\": %llu}", i ? ", " : "", closed[i].tag, (unsigned long long)closed[i].at);
    }
    fputs("]}\n", f);
    fclose(f);
    return text;
}
