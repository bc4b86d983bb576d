/* What modules/lib says of a limit, for tests that compare others with it. Lines on the standard input, one on the standard output for each:
 *   rate w|b AMOUNT WINDOW BURST   a new one, sliding window or token bucket (microseconds)           → "SLICE"
 *   ask NOW COST                                                                                       → "LEVEL WAIT RESET"
 *   take NOW COST                                                                                      → "ok"
 *   give NOW AT COST                                                                                   → "ok"
 *   time N                         how long N takes to flow in                                         → "US NS"
 *   level US NS                    what is in a bucket that needs so long until it is full             → "LEVEL"
 */
#include "aigw_rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static aigw_rate_t rate;
static aigw_rate_state_t state;

static int set_rate(const char *line)
{
    aigw_window_rate_t window;
    char kind;

    if (sscanf(line, "rate %c %" SCNd64 " %" SCNd64 " %" SCNd64, &kind, &rate.amount, &rate.window, &rate.burst) != 4) {
        return 0;
    }
    rate.algorithm = kind == 'b' ? AIGW_RATE_TOKEN_BUCKET : AIGW_RATE_SLIDING_WINDOW;
    memset(&state, 0, sizeof state);
    window.amount = rate.amount;
    window.window = rate.window;
    printf("%" PRId64 "\n", (int64_t)aigw_window_slice(&window));
    return 1;
}

static int change(const char *line)
{
    int64_t now, at, cost;

    if (sscanf(line, "take %" SCNd64 " %" SCNd64, &now, &cost) == 2) {
        aigw_rate_take(&state, &rate, now, cost);
    }
    else if (sscanf(line, "give %" SCNd64 " %" SCNd64 " %" SCNd64, &now, &at, &cost) == 3) {
        aigw_rate_give(&state, &rate, now, at, cost);
    }
    else {
        return 0;
    }
    puts("ok");
    return 1;
}

static int say(const char *line)
{
    const aigw_bucket_rate_t bucket = {rate.amount, rate.window, rate.burst};
    int64_t now, cost, us, ns;
    apr_int64_t of_us, of_ns;

    if (sscanf(line, "ask %" SCNd64 " %" SCNd64, &now, &cost) == 2) {
        printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", (int64_t)aigw_rate_level(&state, &rate, now),
               (int64_t)aigw_rate_wait(&state, &rate, now, cost), (int64_t)aigw_rate_wait(&state, &rate, now, rate.burst));
    }
    else if (sscanf(line, "time %" SCNd64, &cost) == 1) {
        aigw_bucket_time(&bucket, cost, &of_us, &of_ns);
        printf("%" PRId64 " %" PRId64 "\n", (int64_t)of_us, (int64_t)of_ns);
    }
    else if (sscanf(line, "level %" SCNd64 " %" SCNd64, &us, &ns) == 2) {
        printf("%" PRId64 "\n", (int64_t)aigw_bucket_level_at(&bucket, us, ns));
    }
    else {
        return 0;
    }
    return 1;
}

int main(void)
{
    char line[256];

    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        if (!set_rate(line) && !change(line) && !say(line)) {
            printf("what is: %s", line);
            return 1;
        }
    }
    return 0;
}
