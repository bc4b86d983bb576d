/* What aigw-load prints in the end: one JSON object. */
#define _GNU_SOURCE
#include "load.h"

#include <sys/resource.h>

static long lost(void)
{
    long n = 0;
    int i;

    for (i = 1; i < REASONS; i++) {
        n += count.failed[i];
    }
    return n;
}

static void named(const char *name, const hist *h, double unit)
{
    printf(", \"%s\": ", name);
    hist_quantiles(h, stdout, unit);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

long report(double seconds)
{
    double measured = (double)(now_ns() - count.measured_from) / 1e9;
    int i, first = 1;

    printf("{\"opened\": %ld, \"completed\": %ld, \"aborted\": %ld, \"held\": %ld, \"max_open\": %ld, \"reconnects\": %ld, "
           "\"idle_closed\": %ld, \"failed\": {",
           count.opened, count.completed, count.aborted, count.held, count.max_open, count.reconnects, count.idle_closed);
    for (i = 1; i < REASONS; i++) {
        printf("%s\"%s\": %ld", i > 1 ? ", " : "", reason_names[i], count.failed[i]);
    }
    printf("}, \"statuses\": {");
    for (i = 0; i < 600; i++) {
        if (count.statuses[i]) {
            printf("%s\"%d\": %ld", first ? "" : ", ", i, count.statuses[i]);
            first = 0;
        }
    }
    printf("}, \"lost\": %ld, \"seconds\": %.3f, \"cpu_s\": %.2f, \"events\": %ld, \"tokens\": %ld, \"events_per_s\": %.0f, "
           "\"requests_per_s\": %.1f",
           lost(), seconds, cpu_seconds(), count.events, count.tokens, (double)count.events / seconds, (double)count.latency.n / measured);
    named("ttft_ms", &count.ttft, 1e6);
    named("gap_ms", &count.gap, 1e6);
    named("latency_us", &count.latency, 1e3);
    named("added_us", &count.added, 1e3);
    named("added_steady_us", &count.added_steady, 1e3);
    printf(", \"added_histogram_us\": ");
    hist_buckets(&count.added, stdout);
    printf(", \"latency_histogram_us\": ");
    hist_buckets(&count.latency, stdout);
    leave_report(stdout);
    printf("}\n");
    return lost();
}
