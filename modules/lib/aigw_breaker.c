#include "aigw_breaker.h"

static apr_uint64_t ticket_of(const aigw_breaker_t *breaker)
{
    return breaker->changes + 1; /* never 0 */
}

static void enter(aigw_breaker_t *breaker, aigw_breaker_state_e state, apr_time_t until)
{
    breaker->state = state;
    breaker->until = until;
    breaker->failures = 0;
    breaker->changes++;
}

int aigw_breaker_refuses(const aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, apr_time_t now)
{
    apr_interval_time_t most = breaker->state == AIGW_BREAKER_PROBING ? limits->probe_max : breaker->backoff;

    /* until is further ahead than that only if the clock has stepped back */
    return breaker->state != AIGW_BREAKER_CLOSED && now < breaker->until && breaker->until - now <= most;
}

apr_uint64_t aigw_breaker_ticket(aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, apr_time_t now)
{
    if (aigw_breaker_refuses(breaker, limits, now)) {
        return 0;
    }
    if (breaker->state != AIGW_BREAKER_CLOSED) {
        enter(breaker, AIGW_BREAKER_PROBING, now + limits->probe_max);
    }
    return ticket_of(breaker);
}

static aigw_breaker_event_e probed(aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, aigw_breaker_result_e result,
                                   apr_time_t now)
{
    if (result == AIGW_BREAKER_WELL) {
        enter(breaker, AIGW_BREAKER_CLOSED, 0);
        return AIGW_BREAKER_RECOVERED;
    }
    if (result == AIGW_BREAKER_UNTRIED) { /* the next one may */
        enter(breaker, AIGW_BREAKER_OPEN, now);
        return AIGW_BREAKER_NOTHING;
    }
    breaker->backoff = breaker->backoff < limits->backoff_max / 2 ? breaker->backoff * 2 : limits->backoff_max;
    enter(breaker, AIGW_BREAKER_OPEN, now + breaker->backoff);
    return AIGW_BREAKER_STAYED_OPEN;
}

aigw_breaker_event_e aigw_breaker_result(aigw_breaker_t *breaker, const aigw_breaker_limits_t *limits, apr_uint64_t ticket,
                                         aigw_breaker_result_e result, apr_time_t now)
{
    if (ticket != ticket_of(breaker) || breaker->state == AIGW_BREAKER_OPEN) {
        return AIGW_BREAKER_NOTHING;
    }
    if (breaker->state == AIGW_BREAKER_PROBING) {
        return probed(breaker, limits, result, now);
    }
    if (result == AIGW_BREAKER_WELL) {
        breaker->failures = 0;
    }
    else if (result == AIGW_BREAKER_FAILED && ++breaker->failures >= limits->failures) {
        breaker->since = now;
        breaker->backoff = limits->backoff_min;
        enter(breaker, AIGW_BREAKER_OPEN, now + breaker->backoff);
        return AIGW_BREAKER_OPENED;
    }
    return AIGW_BREAKER_NOTHING;
}
