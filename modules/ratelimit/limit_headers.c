#include "limit_headers.h"

#include <apr_strings.h>

/* OpenAI's SDKs wait as long as Retry-After says, up to two minutes; a quota that comes back in hours is not worth a try (WIRE.md, section 2). */
#define WORTH_WAITING apr_time_from_sec(120)
#define QUOTA_WINDOW  apr_time_from_sec(86400) /* from here on it is a budget, not a pace */

/* Kinds of limits, as bits. */
#define REQUESTS    (1u << AIGW_LIMIT_REQUESTS)
#define TOKENS      (1u << AIGW_LIMIT_TOKENS)
#define SOME_TOKENS (1u << AIGW_LIMIT_INPUT_TOKENS | 1u << AIGW_LIMIT_OUTPUT_TOKENS)

/* Not those that are only tried out, which clients would go by, nor those that nobody counts just now (AIGWRedisFailure open). */
static int is_shown(const aigw_limit_charge_t *charge)
{
    return !charge->soft && charge->store;
}

/* The one of these kinds with the smallest part left. */
static const aigw_limit_charge_t *tightest(const aigw_limit_charge_t *charges, int count, unsigned kinds)
{
    const aigw_limit_charge_t *found = NULL;
    int i;

    for (i = 0; i < count; i++) {
        const aigw_limit_charge_t *charge = &charges[i];

        if (is_shown(charge) && (kinds & 1u << charge->limit->what) &&
            (!found ||
             (double)charge->left * (double)found->limit->rate.amount < (double)found->left * (double)charge->limit->rate.amount)) {
            found = charge;
        }
    }
    return found;
}

static const char *number(apr_pool_t *p, apr_int64_t n)
{
    return apr_psprintf(p, "%" APR_INT64_T_FMT, n);
}

static apr_int64_t seconds(apr_interval_time_t t)
{
    return (t + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;
}

static void set_family(request_rec *r, const char *family, const aigw_limit_charge_t *charge)
{
    apr_pool_t *p = r->pool;

    apr_table_setn(r->err_headers_out, apr_pstrcat(p, "x-ratelimit-limit-", family, NULL), number(p, charge->limit->rate.amount));
    apr_table_setn(r->err_headers_out, apr_pstrcat(p, "x-ratelimit-remaining-", family, NULL), number(p, charge->left));
    apr_table_setn(r->err_headers_out, apr_pstrcat(p, "x-ratelimit-reset-", family, NULL), aigw_rate_duration(p, charge->reset));
}

/* Of several limits of one kind each has a name of its own (draft-ietf-httpapi-ratelimit-headers, section 4). */
static const char *policy_name(apr_pool_t *p, const aigw_limit_charge_t *charges, int i)
{
    const char *what = aigw_limit_what_name(charges[i].limit->what);
    int k, same = 0;

    for (k = 0; k < i; k++) {
        same += !charges[k].soft && charges[k].limit->what == charges[i].limit->what;
    }
    return same ? apr_psprintf(p, "%s-%d", what, same + 1) : what;
}

/* RateLimit-Policy and RateLimit, structured fields (RFC 9651). */
static void set_draft(request_rec *r, const aigw_limit_charge_t *charges, int count)
{
    apr_pool_t *p = r->pool;
    const char *policy = NULL, *state = NULL;
    int i;

    for (i = 0; i < count; i++) {
        const aigw_limit_charge_t *charge = &charges[i];
        const char *name = apr_pstrcat(p, policy ? ", \"" : "\"", policy_name(p, charges, i), "\"", NULL);
        const int slots = charge->limit->what == AIGW_LIMIT_CONCURRENT;

        if (!is_shown(charge)) {
            continue;
        }
        policy = apr_psprintf(p, "%s%s;q=%" APR_INT64_T_FMT, policy ? policy : "", name, charge->limit->rate.amount);
        policy = slots ? apr_pstrcat(p, policy, ";qu=\"concurrent-requests\"", NULL)
                       : apr_psprintf(p, "%s;w=%" APR_TIME_T_FMT, policy, apr_time_sec(charge->limit->rate.window));
        state = apr_psprintf(p, "%s%s;r=%" APR_INT64_T_FMT, state ? state : "", name, charge->left);
        state = slots ? state : apr_psprintf(p, "%s;t=%" APR_INT64_T_FMT, state, seconds(charge->reset));
    }
    if (policy) {
        apr_table_setn(r->err_headers_out, "RateLimit-Policy", policy);
        apr_table_setn(r->err_headers_out, "RateLimit", state);
    }
}

void aigw_limit_headers_set(request_rec *r, const aigw_limit_charge_t *charges, int count)
{
    const aigw_limit_charge_t *requests = tightest(charges, count, REQUESTS), *tokens = tightest(charges, count, TOKENS), *common;

    if (!tokens) {
        tokens = tightest(charges, count, SOME_TOKENS);
    }
    if (requests) {
        set_family(r, "requests", requests);
    }
    if (tokens) {
        set_family(r, "tokens", tokens);
    }
    common = requests ? requests : tokens;
    if (common) {
        apr_table_setn(r->err_headers_out, "X-RateLimit-Limit", number(r->pool, common->limit->rate.amount));
        apr_table_setn(r->err_headers_out, "X-RateLimit-Remaining", number(r->pool, common->left));
    }
    set_draft(r, charges, count);
}

void aigw_limit_headers_returned(aigw_limit_charge_t *charges, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        const apr_int64_t room = charges[i].limit->rate.burst - charges[i].left;

        if (charges[i].charged) {
            charges[i].left += charges[i].cost < room ? charges[i].cost : room;
        }
    }
}

/* ------------------------------------------------------------------ refusals */

static aigw_error_t *refuse(apr_pool_t *p, const aigw_limit_charge_t *by, const char *code, const char *what)
{
    aigw_error_t *error = aigw_limit_core->error_make(p, HTTP_TOO_MANY_REQUESTS, code, NULL, "%s", what);

    error->retry_after = by->wait > 0 ? by->wait : APR_USEC_PER_SEC;
    error->no_retry = by->wait > WORTH_WAITING;
    return error;
}

/* As OpenAI does it: 429 and not 400, for a higher limit would take it. */
static const aigw_error_t *too_large(apr_pool_t *p, const aigw_limit_charge_t *by)
{
    aigw_error_t *error = refuse(p, by, "rate_limit_exceeded",
                                 apr_psprintf(p,
                                              "The request is too large for the limit of %s: it needs up to %" APR_INT64_T_FMT
                                              ". Send less, or ask for a shorter answer (max_completion_tokens).",
                                              aigw_limit_title(p, by->limit), by->cost));

    error->no_retry = error->never = 1;
    return error;
}

const aigw_error_t *aigw_limit_refusal(apr_pool_t *p, const aigw_limit_charge_t *charges, int count, int refused)
{
    const aigw_limit_charge_t *by = &charges[refused];
    const char *title = aigw_limit_title(p, by->limit);
    int i;

    for (i = 0; i < count; i++) {
        if (!charges[i].soft && aigw_limit_is_tokens(charges[i].limit->what) && charges[i].cost > charges[i].limit->rate.burst) {
            return too_large(p, &charges[i]);
        }
    }
    if (by->limit->what == AIGW_LIMIT_CONCURRENT) {
        return refuse(p, by, "concurrency_limit_exceeded",
                      apr_pstrcat(p, "The limit of ", title, " calls at a time is reached. Try again when one of them is over.", NULL));
    }
    return refuse(p, by, by->limit->rate.window >= QUOTA_WINDOW ? "quota_exceeded" : "rate_limit_exceeded",
                  apr_psprintf(p, "The limit of %s is reached. Try again in %s.", title, aigw_rate_duration(p, by->wait)));
}
