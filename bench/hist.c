/* A histogram of durations with logarithmic buckets. */
#include "hist.h"

#define SUB ((uint64_t)1 << HIST_SUB_BITS)

/* Below 2 × SUB a bucket is one nanosecond; from there on the leading 1 + HIST_SUB_BITS bits choose it. */
static unsigned bucket_of(uint64_t v)
{
    unsigned shift;

    if (v < 2 * SUB) {
        return (unsigned)v;
    }
    shift = 63U - (unsigned)__builtin_clzll(v) - HIST_SUB_BITS;
    return (shift << HIST_SUB_BITS) + (unsigned)(v >> shift);
}

/* The smallest value that is above bucket i. */
static uint64_t bucket_end(unsigned i)
{
    unsigned shift = i < 2 * SUB ? 0 : (i >> HIST_SUB_BITS) - 1;

    return (uint64_t)(i - (shift << HIST_SUB_BITS) + 1) << shift;
}

void hist_add(hist *h, int64_t ns)
{
    uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
    unsigned i = bucket_of(v);

    h->bucket[i < HIST_BUCKETS ? i : HIST_BUCKETS - 1]++;
    h->n++;
    h->max = v > h->max ? v : h->max;
}

double hist_at(const hist *h, double p)
{
    double upto = (double)h->n * p, seen = 0;
    unsigned i;

    for (i = 0; h->n && i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (h->bucket[i] && seen >= upto) {
            uint64_t end = bucket_end(i), begin = i ? bucket_end(i - 1) : 0;
            double middle = (double)(begin + end - 1) / 2;
            return middle < (double)h->max ? middle : (double)h->max;
        }
    }
    return (double)h->max;
}

void hist_quantiles(const hist *h, FILE *out, double unit)
{
    fprintf(out, "{\"n\": %llu, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}", (unsigned long long)h->n,
            hist_at(h, .5) / unit, hist_at(h, .9) / unit, hist_at(h, .99) / unit, hist_at(h, .999) / unit, (double)h->max / unit);
}

void hist_buckets(const hist *h, FILE *out)
{
    unsigned i, per = SUB / 8, first = 1;
    uint64_t n = 0;

    fputc('[', out);
    for (i = 0; i < HIST_BUCKETS; i++) {
        n += h->bucket[i];
        if (n && i % per == per - 1) {
            fprintf(out, "%s[%.3f, %llu]", first ? "" : ", ", (double)bucket_end(i) / 1e3, (unsigned long long)n);
            first = 0;
            n = 0;
        }
    }
    fputc(']', out);
}
