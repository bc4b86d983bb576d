/* limit-stress: processes with threads decide and settle in the same shared memory as fast as they can, and are killed (kill -9) meanwhile. In the end all is reckoned up: nothing is held, no slot is
 * missing, and what was used is what was said to be used, but for the one decision that each killed thread was in.
 *
 * While nobody is killed, also at every moment: never more slots than there are. Says one line; 0: all was right. */
#include "aigw_clock.h"
#include "aigw_limit_shm.h"

#include <apr_general.h>

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEAMS = 5, SLOTS = 7, MOST = 64, ENTRIES = 256, COST = 50 };

static const aigw_rate_t slots = {.amount = SLOTS};
static const aigw_rate_t tokens = {AIGW_RATE_SLIDING_WINDOW, 1000000000000, APR_USEC_PER_SEC * 86400, 1000000000000};
static const aigw_rate_t requests = {AIGW_RATE_SLIDING_WINDOW, 900000000000, APR_USEC_PER_SEC * 86400 * 31, 900000000000};
static const aigw_rate_t scarce = {AIGW_RATE_SLIDING_WINDOW, 2000, APR_USEC_PER_SEC * 86400, 2000};
static const aigw_rate_t fleeting = {AIGW_RATE_TOKEN_BUCKET, 1000000, APR_USEC_PER_SEC, 1000000};

/* What all know. */
typedef struct board_t {
    apr_int64_t running[TEAMS];                 /* calls with a slot, while nobody is killed */
    apr_int64_t used[TEAMS], asked[TEAMS];      /* tokens and requests that were charged, for certain */
    apr_int64_t scarce[TEAMS];                  /* and of what there is little */
    apr_int64_t decisions, full, wrong, joined; /* wrong: something that must not be */
    int stop;
} board_t;

static struct {
    int processes, threads, kills;
    long decisions;
} opt = {.processes = 4, .threads = 2, .kills = 200, .decisions = 200000};

static aigw_limit_shm_t *shm;
static board_t *board;

#define ADD(what, n) __atomic_add_fetch(&(what), n, __ATOMIC_RELAXED)
#define READ(what)   __atomic_load_n(&(what), __ATOMIC_RELAXED)

static void usage(void)
{
    fputs("usage: limit-stress [--processes N (4)] [--threads N (2)] [--kills N (200)] [--decisions N (200000, where nobody is killed)]\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"processes", 1, NULL, 'p'}, {"threads", 1, NULL, 't'}, {"kills", 1, NULL, 'k'}, {"decisions", 1, NULL, 'd'}, {NULL, 0, NULL, 0}};
    int which;

    while ((which = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (which) {
        case 'p':
            opt.processes = atoi(optarg);
            break;
        case 't':
            opt.threads = atoi(optarg);
            break;
        case 'k':
            opt.kills = atoi(optarg);
            break;
        case 'd':
            opt.decisions = atol(optarg);
            break;
        default:
            usage();
        }
    }
    if (optind < argc || opt.processes < 1 || opt.processes > MOST || opt.threads < 1 || opt.threads > MOST || opt.kills < 0) {
        usage();
    }
}

static aigw_limit_count_t of(const aigw_rate_t *rate, unsigned who, apr_int64_t cost)
{
    aigw_limit_count_t count = {.rate = rate, .cost = cost, .slots = rate->window == 0};

    memcpy(count.key, &who, sizeof who);
    memcpy(count.key + 4, &rate->amount, sizeof rate->amount);
    return count;
}

/* ------------------------------------------------------------------ one thread of one process */

/* A call: a slot and tokens, held; and then it is over. */
static void one_call(unsigned team, unsigned seed)
{
    aigw_limit_count_t counts[2] = {of(&slots, team, 1), of(&tokens, team, 1 + seed % COST)};
    const apr_int64_t actual = (apr_int64_t)(seed >> 8) % (2 * COST);
    int which, i;

    if (aigw_limit_shm_decide(shm, counts, 2, 1, aigw_clock_now(), &which) != AIGW_LIMIT_SHM_YES) {
        return;
    }
    if (ADD(board->running[team], 1) > SLOTS && !opt.kills) {
        ADD(board->wrong, 1);
    }
    for (i = 0; i < (int)(seed >> 16) % 200; i++) {
        __asm__ volatile("" ::: "memory");
    }
    ADD(board->running[team], -1);
    aigw_limit_shm_settle(shm, &counts[0], 0, aigw_clock_now());
    aigw_limit_shm_settle(shm, &counts[1], actual, aigw_clock_now());
    ADD(board->used[team], actual);
}

/* A request: charged at once, or refused. Others come and go, so that the table is full and the idle ones go. */
static void one_request(unsigned team, unsigned seed)
{
    aigw_limit_count_t counts[2] = {of(&requests, team, 1), of(&fleeting, 1000 + seed % 5000, 1)}, little = of(&scarce, team, 1);
    int which;

    switch (aigw_limit_shm_decide(shm, counts, 2, 0, aigw_clock_now(), &which)) {
    case AIGW_LIMIT_SHM_YES:
        ADD(board->asked[team], 1);
        break;
    case AIGW_LIMIT_SHM_FULL:
        ADD(board->full, 1);
        break;
    default:
        ADD(board->wrong, 1);
    }
    if (seed % 64 == 0 && aigw_limit_shm_decide(shm, &little, 1, 0, aigw_clock_now(), &which) == AIGW_LIMIT_SHM_YES) {
        ADD(board->scarce[team], 1);
    }
}

static void *work(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg * 2654435761u + 1;

    while (!READ(board->stop)) {
        seed = seed * 1103515245u + 12345u;
        ((seed >> 12) % 2 ? one_call : one_request)((seed >> 20) % TEAMS, seed >> 4);
        ADD(board->decisions, 1);
    }
    return NULL;
}

static void run_child(unsigned number)
{
    pthread_t threads[MOST];
    int i;

    if (aigw_limit_shm_join(shm, aigw_clock_now()) != APR_SUCCESS) {
        _exit(1);
    }
    ADD(board->joined, 1);
    for (i = 0; i < opt.threads; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(size_t)(number * MOST + (unsigned)i))) {
            _exit(1);
        }
    }
    for (i = 0; i < opt.threads; i++) {
        pthread_join(threads[i], NULL);
    }
    aigw_limit_shm_leave(shm);
    _exit(READ(board->wrong) != 0);
}

/* ------------------------------------------------------------------ all of them */

static pid_t start(void)
{
    static unsigned number;
    pid_t pid;

    number++;
    pid = fork();
    if (!pid) {
        run_child(number);
    }
    return pid;
}

/* Each is killed when others have gone on a little, and another one comes. */
static void kill_some(pid_t *pids)
{
    int i;

    for (i = 0; i < opt.kills; i++) {
        pid_t *pid = &pids[i % opt.processes];
        const apr_int64_t until = READ(board->decisions) + 50 + i * 37 % 500;
        const apr_time_t late = aigw_clock_now() + apr_time_from_sec(30);

        while (READ(board->decisions) < until) {
            if (aigw_clock_now() > late) {
                fputs("limit-stress: they stand still\n", stderr);
                exit(1);
            }
            usleep(50);
        }
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
        *pid = start();
    }
}

static int run_all(void)
{
    pid_t pids[MOST];
    int i, status, bad = 0;

    for (i = 0; i < opt.processes; i++) {
        pids[i] = start();
    }
    kill_some(pids);
    while (!opt.kills && READ(board->decisions) < opt.decisions && !READ(board->wrong)) {
        usleep(1000);
    }
    __atomic_store_n(&board->stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i < opt.processes; i++) {
        bad += waitpid(pids[i], &status, 0) != pids[i] || status;
    }
    return bad;
}

/* ------------------------------------------------------------------ what must have come of it */

static apr_int64_t used_of(const aigw_rate_t *rate, unsigned team)
{
    aigw_limit_count_t count = of(rate, team, 0);
    int which;

    if (aigw_limit_shm_decide(shm, &count, 1, 0, aigw_clock_now(), &which) != AIGW_LIMIT_SHM_YES) {
        return -1;
    }
    return rate->amount - count.left;
}

static int must(int good, const char *what, unsigned team, apr_int64_t is, apr_int64_t should)
{
    if (!good) {
        fprintf(stderr, "limit-stress: team %u: %s: %" APR_INT64_T_FMT ", not %" APR_INT64_T_FMT "\n", team, what, is, should);
    }
    return !good;
}

/* more: what the killed threads may have been in the middle of. */
static int reckon(unsigned team)
{
    const apr_int64_t in_doubt = (apr_int64_t)opt.kills * opt.threads, held = used_of(&slots, team), used = used_of(&tokens, team);
    const apr_int64_t asked = used_of(&requests, team), little = used_of(&scarce, team);

    return must(held == 0, "slots that are still taken", team, held, 0) +
           must(used >= board->used[team] && used <= board->used[team] + in_doubt * 2 * COST, "tokens used", team, used,
                board->used[team]) +
           must(asked >= board->asked[team] && asked <= board->asked[team] + in_doubt, "requests", team, asked, board->asked[team]) +
           must(little >= board->scarce[team] && little <= board->scarce[team] + in_doubt && little <= scarce.amount, "scarce ones", team,
                little, board->scarce[team]);
}

int main(int argc, char **argv)
{
    static const unsigned char secret[AIGW_LIMIT_SECRET] = "of no importance";
    aigw_limit_shm_sums_t sums;
    apr_pool_t *p;
    unsigned team;
    int bad;

    read_options(argc, argv);
    apr_initialize();
    apr_pool_create(&p, NULL);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED || aigw_limit_shm_make(&shm, ENTRIES, MOST + 8, secret, p) != APR_SUCCESS) {
        fputs("limit-stress: no memory\n", stderr);
        return 1;
    }
    for (team = 0; team < TEAMS; team++) { /* they are there before the table is full */
        const aigw_rate_t *const rates[] = {&requests, &tokens, &scarce};
        size_t i;

        for (i = 0; i < sizeof rates / sizeof *rates; i++) {
            aigw_limit_count_t count = of(rates[i], team, 1);
            int which;

            aigw_limit_shm_decide(shm, &count, 1, 0, aigw_clock_now(), &which);
        }
        board->asked[team] = board->used[team] = board->scarce[team] = 1;
    }
    bad = run_all();
    aigw_limit_shm_reap(shm, aigw_clock_now());
    if (!aigw_limit_shm_sums(shm, &sums)) {
        return 1;
    }
    bad += must(!sums.holds && !sums.slots && !sums.reserved && !sums.living, "held in the end", 0, sums.holds, 0);
    bad += must(!board->wrong, "more slots than there are, or no answer", 0, board->wrong, 0);
    bad += opt.kills >= 100 && must(sums.reaped > 0 && sums.mended > 0, "killed where it matters", 0, (apr_int64_t)sums.mended, 1);
    for (team = 0; team < TEAMS; team++) {
        bad += reckon(team);
    }
    printf("limit-stress: %" APR_INT64_T_FMT " decisions, %d killed, %" APR_INT64_T_FMT " joined, reaped %" APR_UINT64_T_FMT
           ", mended %" APR_UINT64_T_FMT ", evicted %" APR_UINT64_T_FMT ", no room %" APR_INT64_T_FMT ": %s\n",
           board->decisions, opt.kills, board->joined, sums.reaped, sums.mended, sums.evicted, board->full, bad ? "WRONG" : "all right");
    apr_pool_destroy(p);
    apr_terminate();
    return bad != 0;
}
