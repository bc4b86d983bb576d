#include "aigw_window.h"

#include <string.h>

#define SLICES AIGW_WINDOW_SLICES

/* Rounded up: fifteen of them are the window at least. */
static apr_interval_time_t slice_of(const aigw_window_rate_t *rate)
{
    return (rate->window + SLICES - 2) / (SLICES - 1);
}

static apr_int64_t plus(apr_int64_t a, apr_int64_t b)
{
    return a > APR_INT64_MAX - b ? APR_INT64_MAX : a + b;
}

/* The count of the slice of that age, 0 being the newest. */
static apr_int64_t *count(aigw_window_t *window, int age)
{
    return &window->counts[(window->at + SLICES - (unsigned)age) % SLICES];
}

/* Makes the present slice the newest. */
static void turn(aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now)
{
    apr_int64_t number = now / slice_of(rate);

    if (number - window->newest >= SLICES) {
        memset(window, 0, sizeof *window);
    }
    for (; window->newest < number && window->newest > number - SLICES; window->newest++) {
        window->at = (window->at + 1) % SLICES;
        window->counts[window->at] = 0;
    }
    window->newest = number; /* where the clock has stepped back, all stays as it is, under other numbers */
}

static apr_int64_t used(aigw_window_t *window)
{
    apr_int64_t sum = 0;
    int age;

    for (age = 0; age < SLICES; age++) {
        sum = plus(sum, *count(window, age));
    }
    return sum;
}

apr_int64_t aigw_window_level(const aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now)
{
    aigw_window_t turned = *window;
    apr_int64_t sum;

    turn(&turned, rate, now);
    sum = used(&turned);
    return sum < rate->amount ? rate->amount - sum : 0;
}

void aigw_window_take(aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    turn(window, rate, now);
    *count(window, 0) = plus(*count(window, 0), cost);
}

void aigw_window_give(aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now, apr_time_t used_at, apr_int64_t cost)
{
    apr_int64_t age, *at;

    turn(window, rate, now);
    age = window->newest - used_at / slice_of(rate);
    if (age < 0) { /* the clock has stepped back since */
        age = 0;
    }
    if (age < SLICES) {
        at = count(window, (int)age);
        *at -= cost < *at ? cost : *at;
    }
}

apr_interval_time_t aigw_window_wait(const aigw_window_t *window, const aigw_window_rate_t *rate, apr_time_t now, apr_int64_t cost)
{
    aigw_window_t turned = *window;
    const apr_interval_time_t slice = slice_of(rate);
    apr_int64_t sum, allowed = rate->amount - (cost < rate->amount ? cost : rate->amount);
    int age = SLICES - 1;

    turn(&turned, rate, now);
    sum = used(&turned);
    if (sum <= allowed) {
        return 0;
    }
    while (age > 0 && sum - *count(&turned, age) > allowed) {
        sum -= *count(&turned, age);
        age--;
    }
    /* that slice is out of the window when it would be the seventeenth */
    return (turned.newest + SLICES - age) * slice - now;
}

apr_interval_time_t aigw_window_slice(const aigw_window_rate_t *rate)
{
    return slice_of(rate);
}
