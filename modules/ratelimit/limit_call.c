#include "limit_call.h"
#include "limit_ask.h"
#include "limit_headers.h"
#include "limit_request.h"
#include "aigw_chat.h"
#include "aigw_clock.h"
#include "aigw_estimate.h"
#include "aigw_hooks.h"

#include <apr_atomic.h>
#include <apr_strings.h>

#define RESERVE    1024 /* AIGWLimitReserve where it is not said, */
#define PART       10   /* but at most a tenth of what the limit holds */
#define RAW_MORE   32   /* bytes by which a raw event may be larger than the smallest without having more text */
#define TOKENS_MAX AIGW_BUCKET_AMOUNT_MAX

/* What a call has been charged. In its pool; what is pointed to in the configuration lives longer than any call of this child. */
typedef struct charged_t {
    aigw_limit_charge_t *charges;
    int *cached;         /* AIGWLimitCached, percent, for each */
    apr_int64_t *actual; /* room for what each was in the end: settling may come from a signal, and takes no memory */
    int count;
    apr_int64_t estimated; /* input tokens, before the ratio; 0: not estimated */
    apr_int64_t input;     /* after it */
    apr_int64_t answer;    /* how long it may be, all choices together; -1: nobody said */
    apr_int64_t longest;   /* the same by the larger of two names that the request has for it; the body is gone when the call ends */
    unsigned learns : 1;   /* what the model server says of the input changes the ratio */
} charged_t;

/* ------------------------------------------------------------------ how many tokens */

static void estimate(charged_t *charged, const aigw_call_t *call)
{
    const aigw_model_t *model = call->model;
    aigw_estimate_t what = {0, 0, 0, 0};

    if (call->body) {
        aigw_estimate_chat(&what, call->body->chat);
    }
    else {
        aigw_estimate_messages(&what, call->messages);
    }
    charged->estimated = aigw_estimate_tokens(&what, model->estimate_bytes, model->estimate_image);
    charged->learns = model->estimate_bytes <= 0 && !what.images;
    charged->input =
        model->estimate_bytes > 0
            ? charged->estimated
            : aigw_estimate_scale(charged->estimated, apr_atomic_read32((volatile apr_uint32_t *)&model->upstream->token_ratio));
}

static apr_int64_t choices(const aigw_call_t *call)
{
    return call->body ? call->body->chat->n : 1;
}

static apr_int64_t times(apr_int64_t tokens, apr_int64_t n)
{
    return tokens > TOKENS_MAX / n ? TOKENS_MAX : tokens * n;
}

static apr_int64_t usual_reserve(const aigw_limit_t *limit)
{
    const apr_int64_t part = limit->rate.burst / PART;

    return part < 1 ? 1 : part < RESERVE ? part : RESERVE;
}

/* Where nobody said how long the answer may be. reserve: AIGWLimitReserve, or 0. */
static apr_int64_t guess(const charged_t *charged, const aigw_call_t *call, const aigw_limit_t *limit, apr_int64_t reserve)
{
    const aigw_model_t *model = call->model;
    const apr_int64_t room = model->context_window - charged->input;
    apr_int64_t tokens = model->max_tokens ? model->max_tokens : reserve ? reserve : usual_reserve(limit);

    if (model->context_window) {
        tokens = room < 1 ? 1 : room < tokens ? room : tokens;
    }
    return times(tokens, choices(call));
}

/* What a limit is charged before the call. A guess never makes a request too large for a limit that its question fits. */
static apr_int64_t cost(const charged_t *charged, const aigw_call_t *call, const aigw_limit_t *limit, apr_int64_t reserve)
{
    const apr_int64_t input = limit->what == AIGW_LIMIT_OUTPUT_TOKENS ? 0 : charged->input;
    apr_int64_t answer = charged->answer, room = limit->rate.burst - input;

    if (!aigw_limit_is_tokens(limit->what)) {
        return 1;
    }
    if (limit->what == AIGW_LIMIT_INPUT_TOKENS) {
        return input;
    }
    if (answer < 0) {
        answer = guess(charged, call, limit, reserve);
        answer = answer < room ? answer : room > 0 ? room : 0;
    }
    return input + answer;
}

/* ------------------------------------------------------------------ before the call */

static int has_tokens(const apr_array_header_t *asked)
{
    int i;

    for (i = 0; i < asked->nelts; i++) {
        if (aigw_limit_is_tokens(APR_ARRAY_IDX(asked, i, aigw_limit_charge_t).limit->what)) {
            return 1;
        }
    }
    return 0;
}

static charged_t *reckon(aigw_call_t *call, const apr_array_header_t *asked)
{
    charged_t *charged = apr_pcalloc(call->pool, sizeof *charged);
    int i;

    charged->charges = (aigw_limit_charge_t *)asked->elts;
    charged->count = asked->nelts;
    charged->actual = apr_palloc(call->pool, (apr_size_t)asked->nelts * sizeof *charged->actual);
    charged->cached = apr_palloc(call->pool, (apr_size_t)asked->nelts * sizeof *charged->cached);
    charged->answer = call->max_tokens >= 0 ? times(call->max_tokens, choices(call)) : -1;
    charged->longest = call->body && call->body->chat->longest >= 0 ? times(call->body->chat->longest, choices(call)) : charged->answer;
    if (has_tokens(asked)) {
        estimate(charged, call);
    }
    for (i = 0; i < charged->count; i++) {
        const aigw_limit_said_t *said = &charged->charges[i].said;

        charged->charges[i].cost = cost(charged, call, charged->charges[i].limit, said->reserve);
        charged->cached[i] = said->cached >= 0 ? said->cached : 100;
    }
    return charged;
}

/* Of the request and of the call together. */
static void tell_client(request_rec *r, const charged_t *charged)
{
    apr_array_header_t *all = apr_array_copy(r->pool, aigw_limit_request_charges(r));
    int i;

    for (i = 0; i < charged->count; i++) {
        APR_ARRAY_PUSH(all, aigw_limit_charge_t) = charged->charges[i];
    }
    aigw_limit_headers_set(r, (const aigw_limit_charge_t *)all->elts, all->nelts);
    if (charged->estimated) {
        apr_table_setn(r->subprocess_env, "AIGW_TOKENS_ESTIMATED", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, charged->input));
    }
}

static const aigw_error_t *ask(aigw_call_t *call, apr_array_header_t *asked, const aigw_limit_asker_t *asker)
{
    charged_t *charged = reckon(call, asked);
    const aigw_error_t *error = aigw_limit_ask(charged->charges, charged->count, 1, asker, call->pool);

    if (!error) {
        ap_set_module_config(call->config, &aigw_ratelimit_module, charged);
    }
    else if (call->client) {
        aigw_limit_request_refund(call->client);
    }
    if (call->client && (!error || error->status == HTTP_TOO_MANY_REQUESTS)) {
        tell_client(call->client, charged);
    }
    return error;
}

static int call_admit(aigw_call_t *call, const aigw_error_t **error)
{
    const aigw_limit_section_t *around = ap_get_module_config(call->per_dir, &aigw_ratelimit_module);
    const aigw_limit_asker_t asker = {call->server, call->client, call->context, call->model->name};
    apr_array_header_t *asked = apr_array_make(call->pool, 4, sizeof(aigw_limit_charge_t));
    const apr_time_t began = aigw_clock_now();
    aigw_request_t *context;

    aigw_limit_gather(asked, &asker, around, AIGW_LIMIT_POINT_CALL);
    if (!asked->nelts || (call->client && aigw_limit_exempt(call->client, around))) {
        return DECLINED;
    }
    *error = ask(call, asked, &asker);
    context = call->client ? aigw_limit_core->request(call->client) : call->context;
    context->limit_time = (context->limit_time > 0 ? context->limit_time : 0) + aigw_clock_now() - began;
    return *error ? (*error)->status : OK;
}

/* ------------------------------------------------------------------ after the call */

/* How much of the answer was sent, where the model server did not count it: an event is a token, or as many as its text has bytes for. Of a raw event that is what is
 * more than in the smallest of them. */
static apr_int64_t delivered(const charged_t *charged, const aigw_call_t *call)
{
    const apr_int64_t most = charged->longest;
    const int pieces = call->stream || call->piecewise;
    apr_int64_t text = call->bytes_out, tokens;

    if (pieces && call->smallest_raw) {
        text -= call->pieces * ((apr_int64_t)call->smallest_raw + RAW_MORE);
    }
    tokens = text > 0 ? (text + 3) / 4 : 0;
    tokens = pieces && tokens < call->pieces ? call->pieces : tokens;
    return most >= 0 && tokens > most ? most : tokens;
}

typedef struct used_t {
    apr_int64_t input, cached, output;
} used_t;

static apr_int64_t bounded(apr_int64_t said)
{
    return said > TOKENS_MAX ? TOKENS_MAX : said;
}

/* What failed before anything came is for nothing: who charges for that? */
static void find_used(used_t *used, const charged_t *charged, const aigw_call_t *call)
{
    const apr_int64_t prompt = bounded(call->usage.prompt_tokens), completion = bounded(call->usage.completion_tokens),
                      total = bounded(call->usage.total_tokens), cached = call->usage.cached_tokens;
    const int nothing = call->error && !call->pieces;

    used->input = prompt >= 0 ? prompt : nothing ? 0 : charged->input;
    used->cached = cached < 0 ? 0 : cached > used->input ? used->input : cached;
    if (completion >= 0) {
        used->output = completion;
    }
    else if (prompt >= 0 && total >= prompt) {
        used->output = total - prompt;
    }
    else {
        used->output = nothing ? 0 : delivered(charged, call);
    }
}

static apr_int64_t actual(const aigw_limit_charge_t *charge, const used_t *used, int cached_percent)
{
    const apr_int64_t input = used->input - used->cached + (used->cached * cached_percent + 99) / 100;

    switch (charge->limit->what) {
    case AIGW_LIMIT_TOKENS:
        return input + used->output;
    case AIGW_LIMIT_INPUT_TOKENS:
        return input;
    case AIGW_LIMIT_OUTPUT_TOKENS:
        return used->output;
    default:
        return charge->cost;
    }
}

/* Two threads at once may lose one of their samples. */
static void learn(const charged_t *charged, const aigw_call_t *call)
{
    volatile apr_uint32_t *ratio = &call->model->upstream->token_ratio;

    if (charged->learns && call->usage.prompt_tokens > 0) {
        apr_atomic_set32(ratio, aigw_estimate_learn(apr_atomic_read32(ratio), charged->estimated, call->usage.prompt_tokens));
    }
}

static void settle(charged_t *charged, const aigw_call_t *call)
{
    used_t used;
    int i;

    find_used(&used, charged, call);
    for (i = 0; i < charged->count; i++) {
        charged->actual[i] = actual(&charged->charges[i], &used, charged->cached[i]);
    }
    aigw_limit_store_settle(charged->charges, charged->actual, charged->count);
    learn(charged, call);
}

static int call_settle(aigw_call_t *call)
{
    charged_t *charged = ap_get_module_config(call->config, &aigw_ratelimit_module);

    if (charged && call->admitted) {
        settle(charged, call);
    }
    else if (charged) {
        aigw_limit_store_refund(charged->charges, charged->count);
    }
    /* somebody else's limit: a refused request costs nothing */
    if (!call->admitted && call->client && call->error && call->error->status == HTTP_TOO_MANY_REQUESTS) {
        aigw_limit_request_refund(call->client);
    }
    ap_set_module_config(call->config, &aigw_ratelimit_module, NULL);
    return charged ? OK : DECLINED;
}

void aigw_limit_call_register(apr_pool_t *p)
{
    /* behind mod_aigw_auth, so that a model that is not allowed costs nothing */
    APR_OPTIONAL_HOOK(aigw, call_admit, call_admit, NULL, NULL, APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(aigw, call_settle, call_settle, NULL, NULL, APR_HOOK_MIDDLE);
}
