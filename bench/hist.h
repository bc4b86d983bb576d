/* A histogram of durations with logarithmic buckets: any quantile of millions of values to within 1 %, in 20 KB and without sorting. */
#ifndef AIGW_HIST_H
#define AIGW_HIST_H

#include <stdint.h>
#include <stdio.h>

#define HIST_SUB_BITS 6  /* 64 buckets each time the value doubles */
#define HIST_MAX_BITS 40 /* 2^40 ns are 18 minutes */
#define HIST_BUCKETS  ((HIST_MAX_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

/* All zeroes is an empty one. Values are nanoseconds. */
typedef struct hist {
    uint64_t n, max;
    uint32_t bucket[HIST_BUCKETS];
} hist;

void hist_add(hist *h, int64_t ns);      /* a negative one counts as 0 */
double hist_at(const hist *h, double p); /* the quantile p of 0 to 1, in ns; 0 if there is nothing */

/* {"n": 3, "p50": 1.0, "p90": …, "p99": …, "p999": …, "max": …}; a value of 1 is so many ns: 1e3 for µs, 1e6 for ms */
void hist_quantiles(const hist *h, FILE *out, double unit);
/* [[upper bound in µs, how many], …], 8 buckets each time the value doubles, empty ones left out */
void hist_buckets(const hist *h, FILE *out);

#endif
