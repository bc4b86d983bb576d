#include "limit_redis_script.h"
#include "limit_lua.h" /* made of limit.lua */

#include <http_log.h>
#include <http_main.h>
#include <apr_atomic.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_ratelimit);

static aigw_redis_script_t script = {.name = "limits", .text = AIGW_LIMIT_LUA};

/* ------------------------------------------------------------------ arguments */

typedef struct args_t {
    apr_pool_t *p;
    const char **v;
    int n;
} args_t;

static void add(args_t *args, const char *word)
{
    args->v[args->n++] = word;
}

static void add_number(args_t *args, apr_int64_t n)
{
    add(args, n == 0 ? "0" : n == 1 ? "1" : apr_psprintf(args->p, "%" APR_INT64_T_FMT, n));
}

static void add_key(args_t *args, const char *what, const unsigned char key[AIGW_LIMIT_KEY])
{
    static const char digits[] = "0123456789abcdef";
    char hex[2 * AIGW_LIMIT_KEY + 1];
    int i;

    for (i = 0; i < AIGW_LIMIT_KEY; i++) {
        hex[2 * i] = digits[key[i] >> 4];
        hex[2 * i + 1] = digits[key[i] & 15];
    }
    hex[2 * AIGW_LIMIT_KEY] = '\0';
    add(args, apr_pstrcat(args->p, aigw_limit_core->redis_vt->prefix(aigw_limit_core->redis()), what, hex, NULL));
}

/* Two for each: where it is counted, and what is reserved. */
static void add_keys(args_t *args, const unsigned char key[AIGW_LIMIT_KEY])
{
    add_key(args, AIGW_LIMIT_REDIS_KEY, key);
    add_key(args, AIGW_LIMIT_REDIS_HOLDS, key);
}

static const char *kind(aigw_limit_what_e what, const aigw_rate_t *rate)
{
    return what == AIGW_LIMIT_CONCURRENT ? "s" : rate->algorithm == AIGW_RATE_TOKEN_BUCKET ? "b" : "w";
}

#define COUNT_MAX (APR_INT64_C(1) << 49) /* the script's SLICE_MAX */

/* An amount, as the script counts it. */
typedef struct pair_t {
    apr_int64_t x, y;
} pair_t;

static pair_t pair(const aigw_rate_t *rate, apr_int64_t n)
{
    const aigw_bucket_rate_t of = {rate->amount, rate->window, rate->burst};
    pair_t pair = {n < COUNT_MAX ? n : COUNT_MAX, 0};

    if (rate->algorithm == AIGW_RATE_TOKEN_BUCKET) {
        aigw_bucket_time(&of, n, &pair.x, &pair.y);
    }
    return pair;
}

static void add_pair(args_t *args, const aigw_rate_t *rate, apr_int64_t n)
{
    const pair_t of = pair(rate, n);

    add_number(args, of.x);
    add_number(args, of.y);
}

/* The limit itself, in two numbers. */
static void add_rate(args_t *args, aigw_limit_what_e what, const aigw_rate_t *rate)
{
    const aigw_window_rate_t window = {rate->amount, rate->window};

    if (what == AIGW_LIMIT_CONCURRENT) {
        add_number(args, rate->amount);
        add_number(args, 0);
    }
    else if (rate->algorithm == AIGW_RATE_TOKEN_BUCKET) {
        add_pair(args, rate, rate->burst);
    }
    else {
        add_number(args, rate->amount);
        add_number(args, aigw_window_slice(&window));
    }
}

/* The name of the member of a sorted set: a reservation's says what it has charged. */
static const char *member(const aigw_limit_held_t *held, apr_pool_t *p)
{
    const pair_t of = pair(&held->rate, held->cost);

    if (!held->number || held->what == AIGW_LIMIT_CONCURRENT) {
        return held->number ? held->id : "";
    }
    return apr_psprintf(p, "%s:%" APR_TIME_T_FMT ":%" APR_INT64_T_FMT ":%" APR_INT64_T_FMT, held->id, held->charged_at, of.x, of.y);
}

void aigw_limit_held_of(aigw_limit_held_t *held, const aigw_limit_charge_t *charge)
{
    held->what = charge->limit->what;
    held->rate = charge->limit->rate;
    held->cost = charge->cost;
    held->charged_at = charge->charged_at;
    memcpy(held->key, charge->key, AIGW_LIMIT_KEY);
}

/* ------------------------------------------------------------------ asking */

#define COMPLAIN_AFTER 60 /* seconds */

/* Such as: a replica that may not be written to, no memory, a user who may not run scripts. */
static void complain(const char *what)
{
    static volatile apr_uint32_t said;
    const apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now()), before = apr_atomic_read32(&said);

    if (now - before >= COMPLAIN_AFTER && apr_atomic_cas32(&said, now, before) == before) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf, "AIGW0432: Redis does not count limits: %s", what);
    }
}

static apr_status_t ask(args_t *args, int nkeys, aigw_redis_reply_e kind_of_reply, const aigw_redis_reply_t **reply)
{
    apr_status_t rv = aigw_limit_core->redis_vt->eval(aigw_limit_core->redis(), args->p, &script, nkeys, args->n, args->v, NULL, reply);

    if (rv == APR_SUCCESS && (*reply)->kind != kind_of_reply) {
        complain((*reply)->kind == AIGW_REDIS_ERROR ? (*reply)->data : "it answers what was not asked");
        rv = APR_EGENERAL;
    }
    return rv;
}

/* ------------------------------------------------------------------ decide */

enum { NOW, YES, HEAD };                                  /* of the reply */
enum { ENOUGH, LEFT_X, LEFT_Y, WAIT, RESET, PER_CHARGE }; /* of each charge in it */

static void add_charge(args_t *args, const aigw_limit_charge_t *charge, int hold)
{
    const aigw_rate_t *rate = &charge->limit->rate;
    const aigw_limit_what_e what = charge->limit->what;
    const int bucket = what != AIGW_LIMIT_CONCURRENT && rate->algorithm == AIGW_RATE_TOKEN_BUCKET;
    const int fits = !bucket || charge->cost <= rate->burst;

    add(args, kind(what, rate));
    add(args, charge->soft ? "1" : "0");
    add(args, hold || what != AIGW_LIMIT_REQUESTS ? "1" : "0");
    add_rate(args, what, rate);
    add_pair(args, rate, fits ? charge->cost : rate->burst);
    add(args, fits ? "1" : "0");
}

static void read_charge(aigw_limit_charge_t *charge, const aigw_redis_reply_t *values, apr_time_t now, int yes, int hold)
{
    const aigw_rate_t *rate = &charge->limit->rate;
    const aigw_bucket_rate_t bucket = {rate->amount, rate->window, rate->burst};
    const int enough = values[ENOUGH].integer == 1;

    charge->charged = yes && enough && (charge->cost > 0 || hold); /* what costs nothing yet may have used something in the end */
    charge->charged_at = charge->charged ? now : 0;
    charge->over = charge->soft && !enough;
    charge->left = values[LEFT_X].integer;
    if (charge->limit->what != AIGW_LIMIT_CONCURRENT && rate->algorithm == AIGW_RATE_TOKEN_BUCKET) {
        charge->left = aigw_bucket_level_at(&bucket, values[LEFT_X].integer, values[LEFT_Y].integer);
    }
    charge->wait = values[WAIT].integer;
    charge->reset = values[RESET].integer;
}

/* 1 if it is made of as many integers as it should. */
static int is_whole(const aigw_redis_reply_t *reply, int count)
{
    int i;

    for (i = 0; i < reply->count && reply->elements[i].kind == AIGW_REDIS_INTEGER; i++) {
    }
    return i == reply->count && reply->count == HEAD + count * PER_CHARGE;
}

static int refuses(const aigw_limit_charge_t *charge, const aigw_redis_reply_t *values)
{
    return !charge->soft && values[ENOUGH].integer != 1;
}

apr_status_t aigw_limit_redis_decide(aigw_limit_charge_t *charges, int count, int hold, const char *id, apr_interval_time_t lease,
                                     int *refused, apr_pool_t *p)
{
    args_t args = {p, apr_palloc(p, (apr_size_t)(3 + count * 10) * sizeof(char *)), 0};
    const aigw_redis_reply_t *reply;
    apr_status_t rv;
    int i, yes;

    for (i = 0; i < count; i++) {
        add_keys(&args, charges[i].key);
    }
    add(&args, "decide");
    add(&args, id);
    add_number(&args, lease);
    for (i = 0; i < count; i++) {
        add_charge(&args, &charges[i], hold);
    }
    if ((rv = ask(&args, 2 * count, AIGW_REDIS_ARRAY, &reply)) != APR_SUCCESS) {
        return rv;
    }
    if (!is_whole(reply, count)) {
        complain("it answers what was not asked");
        return APR_EGENERAL;
    }
    yes = reply->elements[YES].integer == 1;
    *refused = -1;
    for (i = 0; i < count; i++) {
        const aigw_redis_reply_t *values = &reply->elements[HEAD + i * PER_CHARGE];

        read_charge(&charges[i], values, reply->elements[NOW].integer, yes, hold);
        if (refuses(&charges[i], values) && (*refused < 0 || charges[i].wait > charges[*refused].wait)) {
            *refused = i;
        }
    }
    return yes == (*refused < 0) ? APR_SUCCESS : APR_EGENERAL;
}

/* ------------------------------------------------------------------ settle, renew */

static void add_held(args_t *args, const aigw_limit_held_t *held)
{
    const apr_int64_t more = held->actual - held->cost;

    add(args, kind(held->what, &held->rate));
    add_rate(args, held->what, &held->rate);
    add(args, member(held, args->p));
    add_number(args, held->charged_at);
    add_pair(args, &held->rate, more > 0 ? more : 0);
    add_pair(args, &held->rate, more < 0 ? -more : 0);
    add_pair(args, &held->rate, held->actual);
    add(args, held->maybe ? "1" : "0");
}

apr_status_t aigw_limit_redis_settle(aigw_limit_held_t *const *held, int n, apr_pool_t *p)
{
    args_t args = {p, apr_palloc(p, (apr_size_t)(1 + n * 14) * sizeof(char *)), 0};
    const aigw_redis_reply_t *reply;
    int i;

    for (i = 0; i < n; i++) {
        add_keys(&args, held[i]->key);
    }
    add(&args, "settle");
    for (i = 0; i < n; i++) {
        add_held(&args, held[i]);
    }
    return ask(&args, 2 * n, AIGW_REDIS_INTEGER, &reply);
}

apr_status_t aigw_limit_redis_renew(aigw_limit_held_t *const *held, int n, apr_interval_time_t lease, apr_pool_t *p)
{
    args_t args = {p, apr_palloc(p, (apr_size_t)(2 + n * 3) * sizeof(char *)), 0};
    const aigw_redis_reply_t *reply;
    int i;

    for (i = 0; i < n; i++) {
        add_key(&args, held[i]->what == AIGW_LIMIT_CONCURRENT ? AIGW_LIMIT_REDIS_KEY : AIGW_LIMIT_REDIS_HOLDS, held[i]->key);
    }
    add(&args, "renew");
    add_number(&args, lease);
    for (i = 0; i < n; i++) {
        add(&args, kind(held[i]->what, &held[i]->rate));
        add(&args, member(held[i], p));
    }
    return ask(&args, n, AIGW_REDIS_INTEGER, &reply);
}
