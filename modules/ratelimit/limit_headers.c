#include "limit_headers.h"

#include <apr_strings.h>

/* OpenAI's SDKs wait as long as Retry-After says, up to two minutes; a quota that comes back in hours is not worth a try (WIRE.md, section 2). */
#define WORTH_WAITING apr_time_from_sec(120)

/* The one with the smallest part left. */
static const aigw_limit_charge_t *tightest(const aigw_limit_charge_t *charges, int count)
{
    const aigw_limit_charge_t *found = NULL;
    int i;

    for (i = 0; i < count; i++) {
        const aigw_limit_charge_t *charge = &charges[i];

        if ((!found ||
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

/* Of several limits of one kind each has a name of its own (draft-ietf-httpapi-ratelimit-headers, section 4): by its window. */
static const char *policy_name(apr_pool_t *p, const aigw_limit_charge_t *charges, int count, int i)
{
    const char *what = aigw_limit_what_name(charges[i].limit->what);
    int k, same = 0;

    for (k = 0; k < i; k++) {
        same += charges[k].limit->what == charges[i].limit->what;
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
        const char *name = policy_name(p, charges, count, i);

        policy = apr_psprintf(p, "%s%s\"%s\";q=%" APR_INT64_T_FMT ";w=%" APR_TIME_T_FMT, policy ? policy : "", policy ? ", " : "", name,
                              charge->limit->rate.amount, apr_time_sec(charge->limit->rate.window));
        state = apr_psprintf(p, "%s%s\"%s\";r=%" APR_INT64_T_FMT ";t=%" APR_INT64_T_FMT, state ? state : "", state ? ", " : "", name,
                             charge->left, seconds(charge->reset));
    }
    if (policy) {
        apr_table_setn(r->err_headers_out, "RateLimit-Policy", policy);
        apr_table_setn(r->err_headers_out, "RateLimit", state);
    }
}

void aigw_limit_headers_set(request_rec *r, const aigw_limit_charge_t *charges, int count)
{
    const aigw_limit_charge_t *requests = tightest(charges, count);

    if (requests) {
        set_family(r, "requests", requests);
        apr_table_setn(r->err_headers_out, "X-RateLimit-Limit", number(r->pool, requests->limit->rate.amount));
        apr_table_setn(r->err_headers_out, "X-RateLimit-Remaining", number(r->pool, requests->left));
    }
    set_draft(r, charges, count);
}

aigw_error_t *aigw_limit_refusal(apr_pool_t *p, const aigw_limit_charge_t *refused)
{
    const aigw_limit_t *limit = refused->limit;
    aigw_error_t *error;

    error = aigw_limit_core->error_make(p, HTTP_TOO_MANY_REQUESTS, "rate_limit_exceeded", NULL,
                                        "The limit of %s %s is reached. Try again in %s.", aigw_limit_what_name(limit->what),
                                        aigw_rate_format(p, &limit->rate), aigw_rate_duration(p, refused->wait));
    error->retry_after = refused->wait > 0 ? refused->wait : 1;
    error->no_retry = refused->wait > WORTH_WAITING;
    return error;
}
