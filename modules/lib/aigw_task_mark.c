#include "aigw_task_mark.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {"pending", "running", "completed", "failed", "cancelled"};

#define STATES ((int)(sizeof names / sizeof *names))

/* Of one claim: it runs, then it waits again or is over. */
static int rank(int state)
{
    return state == 1 ? 0 : state == 0 ? 1 : 2;
}

aigw_task_mark_t aigw_task_mark(apr_int64_t claims, int state, apr_int64_t tokens, double progress)
{
    aigw_task_mark_t mark = {claims, state, tokens > 0 ? tokens : 0, progress >= 1 ? 1000 : progress > 0 ? (int)(progress * 1000) : 0};

    return mark;
}

void aigw_task_mark_write(const aigw_task_mark_t *mark, char text[AIGW_TASK_MARK_MAX])
{
    snprintf(text, AIGW_TASK_MARK_MAX, "%" APR_INT64_T_FMT "-%s-%" APR_INT64_T_FMT "-%d", mark->claims, names[mark->state], mark->tokens,
             mark->permille);
}

/* Digits, up to stop, which is passed over. */
static int read_number(const char **at, char stop, apr_int64_t max, apr_int64_t *to)
{
    char *end;

    if (**at < '0' || **at > '9' || strlen(*at) >= AIGW_TASK_MARK_MAX) {
        return 0;
    }
    *to = apr_strtoi64(*at, &end, 10);
    if (*end != stop || *to > max) {
        return 0;
    }
    *at = end + (stop != 0);
    return 1;
}

static int read_state(const char **at, int *state)
{
    int i;

    for (i = 0; i < STATES; i++) {
        const size_t len = strlen(names[i]);

        if (!strncmp(*at, names[i], len) && (*at)[len] == '-') {
            *at += len + 1;
            *state = i;
            return 1;
        }
    }
    return 0;
}

int aigw_task_mark_read(const char *text, aigw_task_mark_t *mark)
{
    apr_int64_t permille;

    if (!text || !read_number(&text, '-', APR_INT64_MAX - 1, &mark->claims) || !read_state(&text, &mark->state) ||
        !read_number(&text, '-', APR_INT64_MAX - 1, &mark->tokens) || !read_number(&text, '\0', 1000, &permille)) {
        return 0;
    }
    mark->permille = (int)permille;
    return 1;
}

static int order(apr_int64_t a, apr_int64_t b)
{
    return a < b ? -1 : a > b;
}

int aigw_task_mark_compare(const aigw_task_mark_t *a, const aigw_task_mark_t *b)
{
    int rc = order(a->claims, b->claims);

    rc = rc ? rc : order(rank(a->state), rank(b->state));
    rc = rc ? rc : order(a->tokens, b->tokens);
    return rc ? rc : order(a->permille, b->permille);
}
