#include "aigw_rate.h"

#include <apr_strings.h>

#include <errno.h>
#include <string.h>

static const struct unit_t {
    const char *name, *brief;
    apr_int64_t seconds;
} units[] = {{"second", "s", 1}, {"minute", "min", 60}, {"hour", "h", 3600}, {"day", "d", 86400}, {"month", "month", 30 * 86400}};

#define UNITS (sizeof units / sizeof *units)

static const struct unit_t *unit_of(const char *name)
{
    apr_size_t i;

    for (i = 0; i < UNITS; i++) {
        if (!strcmp(units[i].name, name) || !strcmp(units[i].brief, name)) {
            return &units[i];
        }
    }
    return NULL;
}

static int read_amount(const char *text, char **end, apr_int64_t *amount)
{
    apr_int64_t times;

    errno = 0;
    *amount = apr_strtoi64(text, end, 10);
    times = **end == 'k' || **end == 'K' ? 1000 : **end == 'M' ? 1000000 : 1;
    *end += times > 1;
    if (*text < '0' || *text > '9' || errno || *amount < 1 || *amount > AIGW_BUCKET_AMOUNT_MAX / times) {
        return 0;
    }
    *amount *= times;
    return 1;
}

const char *aigw_rate_parse(apr_pool_t *p, const char *text, aigw_rate_t *rate)
{
    const struct unit_t *unit;
    char *end;

    memset(rate, 0, sizeof *rate);
    if (!read_amount(text, &end, &rate->amount) || *end != '/') {
        return apr_psprintf(p, "\"%s\" is no rate: write for example 60/minute or 100k/day", text);
    }
    unit = unit_of(end + 1);
    if (!unit) {
        return apr_psprintf(p, "\"%s\" is none of second, minute, hour, day, month", end + 1);
    }
    rate->window = apr_time_from_sec(unit->seconds);
    rate->burst = rate->amount;
    return NULL;
}

const char *aigw_rate_format(apr_pool_t *p, const aigw_rate_t *rate)
{
    apr_size_t i;

    for (i = 0; i < UNITS; i++) {
        if (apr_time_from_sec(units[i].seconds) == rate->window) {
            return apr_psprintf(p, "%" APR_INT64_T_FMT "/%s", rate->amount, units[i].name);
        }
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT "/%" APR_TIME_T_FMT "s", rate->amount, apr_time_sec(rate->window));
}

/* ------------------------------------------------------------------ by the algorithm */

static aigw_bucket_rate_t of_bucket(const aigw_rate_t *rate)
{
    const aigw_bucket_rate_t of = {rate->amount, rate->window, rate->burst};

    return of;
}

static aigw_window_rate_t of_window(const aigw_rate_t *rate)
{
    const aigw_window_rate_t of = {rate->amount, rate->window};

    return of;
}

apr_int64_t aigw_rate_level(const aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now)
{
    const aigw_bucket_rate_t bucket = of_bucket(rate);
    const aigw_window_rate_t window = of_window(rate);

    return rate->algorithm == AIGW_RATE_TOKEN_BUCKET ? aigw_bucket_level(&state->of.bucket, &bucket, now)
                                                     : aigw_window_level(&state->of.window, &window, now);
}

void aigw_rate_take(aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    const aigw_bucket_rate_t bucket = of_bucket(rate);
    const aigw_window_rate_t window = of_window(rate);

    if (rate->algorithm == AIGW_RATE_TOKEN_BUCKET) {
        aigw_bucket_take(&state->of.bucket, &bucket, now, cost);
    }
    else {
        aigw_window_take(&state->of.window, &window, now, cost);
    }
}

void aigw_rate_give(aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now, apr_time_t taken_at, apr_int64_t cost)
{
    const aigw_bucket_rate_t bucket = of_bucket(rate);
    const aigw_window_rate_t window = of_window(rate);

    if (rate->algorithm == AIGW_RATE_TOKEN_BUCKET) {
        aigw_bucket_give(&state->of.bucket, &bucket, now, cost);
    }
    else {
        aigw_window_give(&state->of.window, &window, now, taken_at, cost);
    }
}

apr_interval_time_t aigw_rate_wait(const aigw_rate_state_t *state, const aigw_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    const aigw_bucket_rate_t bucket = of_bucket(rate);
    const aigw_window_rate_t window = of_window(rate);

    return rate->algorithm == AIGW_RATE_TOKEN_BUCKET ? aigw_bucket_wait(&state->of.bucket, &bucket, now, cost)
                                                     : aigw_window_wait(&state->of.window, &window, now, cost);
}

/* ------------------------------------------------------------------ for clients */

const char *aigw_rate_duration(apr_pool_t *p, apr_interval_time_t time)
{
    const apr_int64_t all = time <= 0 ? 0 : time > APR_INT64_MAX - 999 ? time / 1000 : (time + 999) / 1000;
    const int ms = (int)(all % 1000), s = (int)(all / 1000 % 60), m = (int)(all / 60000 % 60);
    const apr_int64_t h = all / 3600000;
    const char *seconds = ms ? apr_psprintf(p, "%d.%03d", s, ms) : apr_itoa(p, s);

    if (all && all < 1000) {
        return apr_psprintf(p, "%dms", ms);
    }
    if (h) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT "h%dm%ss", h, m, seconds);
    }
    return m ? apr_psprintf(p, "%dm%ss", m, seconds) : apr_pstrcat(p, seconds, "s", NULL);
}
