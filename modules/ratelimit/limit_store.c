#include "limit_store.h"
#include "limit_conf.h"
#include "limit_memory.h"
#include "limit_redis.h"
#include "aigw_limit_hash.h"

#include <apr_strings.h>

static const aigw_limit_store_vt *store = &aigw_limit_memory; /* AIGWLimitStore; set before there are children */

/* ------------------------------------------------------------------ who decides */

static aigw_limit_answer_e ask(const aigw_limit_store_vt *whom, aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    int i;

    for (i = 0; i < count; i++) {
        charges[i].store = whom;
    }
    return whom->decide(charges, count, hold, refused);
}

/* Nobody counts: there is nothing to show, and nothing to give back. */
static aigw_limit_answer_e let_through(aigw_limit_charge_t *charges, int count, int *refused)
{
    int i;

    for (i = 0; i < count; i++) {
        charges[i].store = NULL;
        charges[i].over = charges[i].charged = 0;
        charges[i].left = charges[i].limit->rate.amount;
        charges[i].wait = charges[i].reset = 0;
        charges[i].charged_at = 0;
        charges[i].hold = 0;
    }
    *refused = -1;
    return AIGW_LIMIT_YES;
}

/* Redis does not answer: AIGWRedisFailure. */
static aigw_limit_answer_e do_without(aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    switch (aigw_limit_core->redis_vt->failure(aigw_limit_core->redis())) {
    case AIGW_REDIS_FAILURE_LOCAL:
        return ask(&aigw_limit_memory, charges, count, hold, refused);
    case AIGW_REDIS_FAILURE_OPEN:
        return let_through(charges, count, refused);
    default:
        return AIGW_LIMIT_UNAVAILABLE;
    }
}

aigw_limit_answer_e aigw_limit_store_decide(aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    const aigw_limit_answer_e answer = ask(store, charges, count, hold, refused);

    return answer == AIGW_LIMIT_UNAVAILABLE && store == &aigw_limit_redis ? do_without(charges, count, hold, refused) : answer;
}

/* ------------------------------------------------------------------ who takes it back: the one that has decided, which may have been another at each point */

/* How many of these are the first one's store's. */
static int of_one_store(const aigw_limit_charge_t *charges, int count)
{
    int n = 1;

    while (n < count && charges[n].store == charges[0].store) {
        n++;
    }
    return n;
}

void aigw_limit_store_settle(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count)
{
    int i, n;

    for (i = 0; i < count; i += n) {
        n = of_one_store(charges + i, count - i);
        if (charges[i].store) {
            charges[i].store->settle(charges + i, actual + i, n);
        }
    }
}

void aigw_limit_store_refund(aigw_limit_charge_t *charges, int count)
{
    int i, n;

    for (i = 0; i < count; i += n) {
        n = of_one_store(charges + i, count - i);
        if (charges[i].store) {
            charges[i].store->refund(charges + i, n);
        }
    }
}

/* ------------------------------------------------------------------ life */

int aigw_limit_store_check_config(server_rec *main_server)
{
    return aigw_limit_redis_check_config(main_server);
}

int aigw_limit_store_post_config(server_rec *main_server)
{
    aigw_limit_hash_init(main_server->process->pconf);
    store = aigw_limit_conf_redis(main_server) ? &aigw_limit_redis : &aigw_limit_memory;
    return aigw_limit_memory_post_config(main_server); /* of both: where Redis is away it may have to do */
}

void aigw_limit_store_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    if (store == &aigw_limit_redis) {
        aigw_limit_redis_child_init(pchild, main_server);
    }
    aigw_limit_memory_child_init(pchild);
}

void aigw_limit_key(const aigw_limit_t *limit, unsigned by, const char *who, unsigned char key[AIGW_LIMIT_KEY])
{
    char head[128];

    apr_snprintf(head, sizeof head, "%d %d %d %u %" APR_TIME_T_FMT, (int)limit->section->tier, limit->what, limit->rate.algorithm, by,
                 limit->rate.window);
    aigw_limit_hash(head, limit->section->name, who, key);
}
