/* aigw-limit: what a decision over limits costs in shared memory among many users, as mod_aigw_ratelimit does it: the keys (a SHA-256 each), the clock, the locks, the table. Another process has the
 * memory too, and may be busy in it meanwhile. One JSON object on the standard output. */
#include "aigw_clock.h"
#include "aigw_limit_hash.h"
#include "aigw_limit_shm.h"
#include "hist.h"
#include "measure.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMITS 4 /* of each user: two rates of requests, one of tokens, slots */

static const aigw_rate_t rates[LIMITS] = {{AIGW_RATE_SLIDING_WINDOW, 1000000000, APR_USEC_PER_SEC * 3600, 1000000000},
                                          {AIGW_RATE_SLIDING_WINDOW, 1000000000, APR_USEC_PER_SEC * 86400, 1000000000},
                                          {AIGW_RATE_TOKEN_BUCKET, 1000000000, APR_USEC_PER_SEC * 86400, 1000000000},
                                          {.amount = 1000000}};

static struct {
    long keys, decisions, others;
} opt = {.keys = 1000000, .decisions = 1000000};

static void usage(void)
{
    fputs("usage: aigw-limit [options]\n"
          "  --keys N       so many limits of somebody are in use (1000000)\n"
          "  --decisions N  how many decisions of each kind (1000000)\n"
          "  --others N     so many other processes decide all the time (0)\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"keys", 1, NULL, 'k'}, {"decisions", 1, NULL, 'd'}, {"others", 1, NULL, 'o'}, {NULL, 0, NULL, 0}};
    int which;

    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (which) {
        case 'k':
            opt.keys = atol(optarg);
            break;
        case 'd':
            opt.decisions = atol(optarg);
            break;
        case 'o':
            opt.others = atol(optarg);
            break;
        default:
            usage();
        }
    }
    if (optind < argc || opt.keys < LIMITS || opt.keys > 16000000 || opt.decisions < 1 || opt.others < 0) {
        usage();
    }
}

static void must(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "aigw-limit: %s\n", what);
        exit(1);
    }
}

/* As aigw_limit_key() does it. */
static void ask_for(aigw_limit_count_t *count, long user, int limit)
{
    char head[64], who[64];

    memset(count, 0, sizeof *count);
    count->rate = &rates[limit];
    count->cost = 1;
    count->slots = rates[limit].window == 0;
    apr_snprintf(head, sizeof head, "1 %d 0 %" APR_TIME_T_FMT, limit, rates[limit].window);
    apr_snprintf(who, sizeof who, "user:user-%ld@example.com", user);
    aigw_limit_hash(head, "enterprise", who, count->key);
}

/* first: of the user's limits. */
static void decide(aigw_limit_shm_t *shm, aigw_limit_count_t *counts, long user, int first, int n, int hold)
{
    int i, which;

    for (i = 0; i < n; i++) {
        ask_for(&counts[i], user, first + i);
    }
    must(aigw_limit_shm_decide(shm, counts, n, hold, aigw_clock_now(), &which) == AIGW_LIMIT_SHM_YES, "a decision is not yes");
}

/* Users come in an order that no cache knows. */
static void measure(aigw_limit_shm_t *shm, long users, uint64_t *state, int n, const char *name)
{
    static hist took;
    aigw_limit_count_t counts[LIMITS];
    long i;

    memset(&took, 0, sizeof took);
    for (i = 0; i < opt.decisions; i++) {
        const long user = (long)(next_random(state) % (uint64_t)users);
        const uint64_t began = now_ns();

        decide(shm, counts, user, 0, n, 0);
        hist_add(&took, (int64_t)(now_ns() - began));
        while (n == LIMITS && counts[LIMITS - 1].charged) { /* the slot is free again */
            aigw_limit_shm_settle(shm, &counts[LIMITS - 1], 0, aigw_clock_now());
        }
    }
    printf(", \"%s\": ", name);
    hist_quantiles(&took, stdout, 1e3);
}

/* A call: tokens and a slot are held, and then settled. */
static void measure_calls(aigw_limit_shm_t *shm, long users, uint64_t *state)
{
    static hist took;
    aigw_limit_count_t counts[2];
    long i;

    for (i = 0; i < opt.decisions; i++) {
        const long user = (long)(next_random(state) % (uint64_t)users);
        const uint64_t began = now_ns();

        decide(shm, counts, user, 2, 2, 1);
        aigw_limit_shm_settle(shm, &counts[0], 2, aigw_clock_now());
        aigw_limit_shm_settle(shm, &counts[1], 0, aigw_clock_now());
        hist_add(&took, (int64_t)(now_ns() - began));
    }
    printf(", \"call_us\": ");
    hist_quantiles(&took, stdout, 1e3);
}

static void measure_keys(uint64_t *state)
{
    static hist took;
    aigw_limit_count_t count;
    long i;

    for (i = 0; i < opt.decisions; i++) {
        const long user = (long)(next_random(state) % 1000000);
        const uint64_t began = now_ns();

        ask_for(&count, user, 0);
        hist_add(&took, (int64_t)(now_ns() - began));
    }
    printf(", \"key_us\": ");
    hist_quantiles(&took, stdout, 1e3);
}

static pid_t start_other(aigw_limit_shm_t *shm, long users, uint64_t state)
{
    aigw_limit_count_t counts[2];
    pid_t pid = fork();

    while (!pid) {
        decide(shm, counts, (long)(next_random(&state) % (uint64_t)users), 0, 2, 0);
    }
    return pid;
}

int main(int argc, char **argv)
{
    static const unsigned char secret[AIGW_LIMIT_SECRET] = "of no importance";
    aigw_limit_shm_sums_t sums;
    aigw_limit_count_t counts[LIMITS];
    aigw_limit_shm_t *shm;
    uint64_t state = 1;
    apr_pool_t *p;
    long users, i;
    pid_t *others;

    read_options(argc, argv);
    apr_initialize();
    apr_pool_create(&p, NULL);
    aigw_limit_hash_init(p);
    users = opt.keys / LIMITS;
    must(aigw_limit_shm_make(&shm, (apr_uint32_t)(opt.keys + opt.keys / 8 + 1024), 64, secret, p) == APR_SUCCESS, "no memory");
    must(aigw_limit_shm_join(shm, aigw_clock_now()) == APR_SUCCESS, "cannot join");
    for (i = 0; i < users; i++) {
        decide(shm, counts, i, 0, LIMITS, 0);
        aigw_limit_shm_settle(shm, &counts[LIMITS - 1], 0, aigw_clock_now());
    }
    must(aigw_limit_shm_sums(shm, &sums) && sums.used == (apr_uint32_t)(users * LIMITS), "not all limits are there");
    others = apr_palloc(p, ((size_t)opt.others + 1) * sizeof *others);
    for (i = 0; i < opt.others; i++) {
        others[i] = start_other(shm, users, (uint64_t)i + 100);
    }
    printf("{\"keys\": %ld, \"others\": %ld", users * LIMITS, opt.others);
    measure_keys(&state);
    measure(shm, users, &state, 1, "one_us");
    measure(shm, users, &state, 2, "two_us");
    measure(shm, users, &state, LIMITS, "four_us");
    measure_calls(shm, users, &state);
    printf("}\n");
    for (i = 0; i < opt.others; i++) {
        kill(others[i], SIGKILL);
        waitpid(others[i], NULL, 0);
    }
    must(aigw_limit_shm_sums(shm, &sums) && sums.evicted == 0 && sums.holds == 0, "something was lost");
    aigw_limit_shm_leave(shm);
    apr_pool_destroy(p);
    return 0;
}
