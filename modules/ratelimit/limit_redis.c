#include "limit_redis.h"
#include "limit_conf.h"
#include "limit_redis_keeper.h"
#include "limit_redis_script.h"
#include "aigw_clock.h"

#include <http_log.h>
#include <apr_atomic.h>
#include <apr_strings.h>
#include <stdlib.h>

APLOG_USE_MODULE(aigw_ratelimit);

static server_rec *server;         /* the main one, for the log */
static apr_interval_time_t lease;  /* of a child */
static volatile apr_uint32_t away; /* Redis did not answer the last time */

/* ------------------------------------------------------------------ whether it answers */

static const char *instead(void)
{
    switch (aigw_limit_core->redis_vt->failure(aigw_limit_core->redis())) {
    case AIGW_REDIS_FAILURE_OPEN:
        return "nothing is limited";
    case AIGW_REDIS_FAILURE_CLOSED:
        return "what is limited is refused";
    default:
        return "this machine counts alone";
    }
}

/* Once for as long as it lasts; and not more often than once a second, where a Redis that is too busy answers some and not others. */
static void note(int answers)
{
    static volatile apr_uint32_t said; /* seconds of aigw_clock_now() */
    apr_uint32_t now, before;

    if (answers && apr_atomic_read32(&away) && apr_atomic_xchg32(&away, 0)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, server, "AIGW0431: Redis counts limits again");
    }
    if (answers || apr_atomic_read32(&away)) {
        return;
    }
    now = (apr_uint32_t)apr_time_sec(aigw_clock_now());
    before = apr_atomic_read32(&said);
    if (now != before && apr_atomic_cas32(&said, now, before) == before && !apr_atomic_xchg32(&away, 1)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server, "AIGW0430: Redis does not count limits: until it does, %s (AIGWRedisFailure)",
                     instead());
    }
}

/* A pool for one question, of nobody's: what this thread is doing for whom is not known here. NULL: no memory. */
static apr_pool_t *make_pool(void)
{
    apr_pool_t *p;

    return apr_pool_create_unmanaged_ex(&p, NULL, NULL) == APR_SUCCESS ? p : NULL;
}

/* ------------------------------------------------------------------ decide */

/* Slots always are, for they have to be given back. */
static int is_held(const aigw_limit_charge_t *charge, int hold)
{
    return charge->cost > 0 && (hold || charge->limit->what == AIGW_LIMIT_CONCURRENT);
}

/* Before it is asked: what was charged must not go without a record. They are a list, of as many as might be held. 0: no memory. */
static int make_records(aigw_limit_held_t **records, const aigw_limit_charge_t *charges, int count, int hold)
{
    aigw_limit_held_t *held;
    int i;

    *records = NULL;
    for (i = 0; i < count; i++) {
        if (is_held(&charges[i], hold)) {
            if (!(held = calloc(1, sizeof *held))) {
                return 0;
            }
            held->next = *records;
            *records = held;
        }
    }
    return 1;
}

static void free_records(aigw_limit_held_t *records)
{
    while (records) {
        aigw_limit_held_t *next = records->next;

        free(records);
        records = next;
    }
}

/* The next one, filled in; the caller's. */
static aigw_limit_held_t *next_record(aigw_limit_held_t **records, const aigw_limit_charge_t *charge, const char *id, apr_uint64_t number)
{
    aigw_limit_held_t *held = *records;

    *records = held->next;
    aigw_limit_held_of(held, charge);
    apr_cpystrn(held->id, id, sizeof held->id);
    held->number = number;
    return held;
}

static void record(aigw_limit_held_t **records, aigw_limit_charge_t *charges, int count, int hold, const char *id, apr_uint64_t first)
{
    int i;

    for (i = 0; i < count && *records; i++) {
        if (charges[i].charged && is_held(&charges[i], hold)) {
            charges[i].hold = first + (apr_uint64_t)i;
            aigw_limit_redis_keeper_hold(next_record(records, &charges[i], id, charges[i].hold));
        }
    }
}

/* There was no answer, and nobody knows whether it was done. A slot can be given back by its name, as often as need be; of a reservation Redis's clock is a part of the name: it expires. */
static void let_go(aigw_limit_held_t **records, const aigw_limit_charge_t *charges, int count, const char *id, apr_uint64_t first)
{
    int i;

    for (i = 0; i < count && *records; i++) {
        if (charges[i].cost > 0 && charges[i].limit->what == AIGW_LIMIT_CONCURRENT) {
            aigw_limit_redis_keeper_settle(next_record(records, &charges[i], id, first + (apr_uint64_t)i));
        }
    }
}

static aigw_limit_answer_e ask(aigw_limit_charge_t *charges, int count, int hold, int *refused, aigw_limit_held_t **records)
{
    char id[AIGW_LIMIT_REDIS_ID] = "";
    apr_uint64_t first = 0;
    apr_pool_t *p = make_pool();
    apr_status_t rv = APR_ENOMEM;
    int i;

    for (i = 0; i < count; i++) {
        charges[i].hold = 0;
        charges[i].charged = charges[i].over = 0;
    }
    if (*records) {
        first = aigw_limit_redis_keeper_name(id, count);
    }
    if (p) {
        rv = aigw_limit_redis_decide(charges, count, hold, id, lease, refused, p);
        apr_pool_destroy(p);
    }
    note(rv == APR_SUCCESS);
    if (APR_STATUS_IS_TIMEUP(rv) || APR_STATUS_IS_ECONNRESET(rv)) {
        let_go(records, charges, count, id, first);
    }
    if (rv != APR_SUCCESS) {
        return AIGW_LIMIT_UNAVAILABLE;
    }
    record(records, charges, count, hold, id, first);
    return *refused < 0 ? AIGW_LIMIT_YES : AIGW_LIMIT_NO;
}

static aigw_limit_answer_e decide(aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    aigw_limit_answer_e answer = AIGW_LIMIT_UNAVAILABLE;
    aigw_limit_held_t *records;

    *refused = -1;
    if (count == 0) {
        return AIGW_LIMIT_YES;
    }
    if (make_records(&records, charges, count, hold)) {
        answer = ask(charges, count, hold, refused, &records);
    }
    free_records(records);
    return answer;
}

/* ------------------------------------------------------------------ settle, refund */

/* What is held open of it, or a record of what is not. NULL: it was settled already, or there is no memory. */
static aigw_limit_held_t *record_of(const aigw_limit_charge_t *charge)
{
    aigw_limit_held_t *held;

    if (charge->hold) {
        return aigw_limit_redis_keeper_take(charge->hold);
    }
    held = calloc(1, sizeof *held);
    if (held) {
        aigw_limit_held_of(held, charge);
    }
    return held;
}

static void settle(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count)
{
    aigw_limit_held_t *held;
    int i;

    for (i = 0; i < count; i++) {
        if (charges[i].charged && (charges[i].hold || actual[i] != charges[i].cost) && (held = record_of(&charges[i])) != NULL) {
            held->actual = actual[i] > 0 ? actual[i] : 0;
            aigw_limit_redis_keeper_settle(held);
        }
        charges[i].charged = 0;
    }
}

/* At once, so that who comes next finds it given back. Where it cannot be told that now, it is later. */
static void refund_now(aigw_limit_held_t **batch, int n)
{
    apr_pool_t *p = make_pool();
    apr_status_t rv = APR_EAGAIN;

    if (p) {
        rv = aigw_limit_redis_settle(batch, n, p);
        apr_pool_destroy(p);
    }
    while (n-- > 0) {
        if (APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_ECONNREFUSED(rv)) { /* not done */
            aigw_limit_redis_keeper_settle(batch[n]);
        }
        else { /* done; or perhaps done, and never twice */
            free(batch[n]);
        }
    }
}

/* What is held open goes through the keeper, which may be renewing it just now. */
static void refund(aigw_limit_charge_t *charges, int count)
{
    aigw_limit_held_t *batch[AIGW_LIMIT_REDIS_BATCH], *held;
    int i, n = 0;

    for (i = 0; i < count; i++) {
        held = charges[i].charged && (charges[i].hold || charges[i].cost > 0) ? record_of(&charges[i]) : NULL;
        charges[i].charged = 0;
        if (held && held->number) {
            aigw_limit_redis_keeper_settle(held);
        }
        else if (held) {
            batch[n++] = held;
        }
        if (n == AIGW_LIMIT_REDIS_BATCH || (n > 0 && i == count - 1)) {
            refund_now(batch, n);
            n = 0;
        }
    }
}

const aigw_limit_store_vt aigw_limit_redis = {"redis", decide, settle, refund};

/* ------------------------------------------------------------------ its life */

int aigw_limit_redis_check_config(server_rec *main_server)
{
    server = main_server;
    if (aigw_limit_conf_redis(main_server) && !aigw_limit_core->redis()) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, main_server,
                     "AIGW0437: AIGWLimitStore redis: which one? Write AIGWRedis redis://HOST:6379 as well, or AIGWLimitStore memory");
        return -1;
    }
    return 0;
}

void aigw_limit_redis_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    server = main_server;
    lease = aigw_limit_conf_lease(main_server);
    aigw_limit_redis_keeper_child_init(pchild, main_server, lease);
}
