#include "limit_store.h"
#include "limit_memory.h"
#include "aigw_limit_hash.h"

#include <apr_strings.h>

aigw_limit_answer_e aigw_limit_store_decide(aigw_limit_charge_t *charges, int count, int hold, int *refused)
{
    int i;

    for (i = 0; i < count; i++) {
        charges[i].store = &aigw_limit_memory;
    }
    return aigw_limit_memory.decide(charges, count, hold, refused);
}

void aigw_limit_store_settle(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count)
{
    if (count > 0 && charges->store) {
        charges->store->settle(charges, actual, count);
    }
}

void aigw_limit_store_refund(aigw_limit_charge_t *charges, int count)
{
    if (count > 0 && charges->store) {
        charges->store->refund(charges, count);
    }
}

int aigw_limit_store_post_config(server_rec *main_server)
{
    aigw_limit_hash_init(main_server->process->pconf);
    return aigw_limit_memory_post_config(main_server);
}

void aigw_limit_store_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    aigw_limit_memory_child_init(pchild);
}

void aigw_limit_key(const aigw_limit_t *limit, const char *who, unsigned char key[AIGW_LIMIT_KEY])
{
    char head[128];

    apr_snprintf(head, sizeof head, "%d %d %d %" APR_TIME_T_FMT, (int)limit->section->tier, limit->what, limit->rate.algorithm,
                 limit->rate.window);
    aigw_limit_hash(head, limit->section->name, who, key);
}
