/* Where it is counted: a store decides over all limits of one point in one step; either all are charged, or none.
 *
 * Two stores: memory (limit_memory.h) and Redis (limit_redis.h). Which one it is says AIGWLimitStore; what happens where Redis cannot be asked says AIGWRedisFailure. Callers see this file only.
 *
 * Thread: a worker's; deciding and refunding may block for a moment (a lock, Redis), never for longer than its time-outs. Settling never blocks for longer than a lock.
 */
#ifndef AIGW_LIMIT_STORE_H
#define AIGW_LIMIT_STORE_H

#include "limit.h"
#include "aigw_limit_table.h"

struct aigw_limit_store_vt;

/* One limit for one user, address, …. Plain data: it may be copied to where it outlives the request; then limit still points into the configuration, which a graceful restart takes away
 * only after this child is gone. */
typedef struct aigw_limit_charge_t {
    const aigw_limit_t *limit;
    unsigned char key[AIGW_LIMIT_KEY]; /* by aigw_limit_key(): the same in every process and on every machine */
    apr_int64_t cost;                  /* requests, tokens, slots (1). 0: asked, not charged */
    aigw_limit_said_t said;            /* how it counts here */
    unsigned soft : 1;                 /* dry run: where there is not enough it is neither charged nor refuses; over is set */
    /* what the store says */
    unsigned over : 1;                       /* a soft one that would have refused */
    unsigned charged : 1;                    /* it was charged, and was not given back yet */
    apr_int64_t left;                        /* after charging, 0..amount. Slots: how many are free */
    apr_interval_time_t wait;                /* microseconds until the cost would be there; 0: it was, or (slots) nobody knows */
    apr_interval_time_t reset;               /* microseconds until all of it is there again; slots: 0 */
    apr_time_t charged_at;                   /* by the store's clock, for giving back; 0: it was not charged */
    apr_uint64_t hold;                       /* the store's name for what is held open (aigw_limit_store_hold), 0: nothing is */
    const struct aigw_limit_store_vt *store; /* who decided, and takes it back. NULL: nobody (AIGWRedisFailure open) */
} aigw_limit_charge_t;

typedef enum {
    AIGW_LIMIT_YES,
    AIGW_LIMIT_NO,         /* refused says which */
    AIGW_LIMIT_UNAVAILABLE /* the store cannot be asked */
} aigw_limit_answer_e;

/* What a store does. All as the functions below; charges of one call of settle() or refund() are all this store's. */
typedef struct aigw_limit_store_vt {
    const char *name; /* "memory", "redis" */
    aigw_limit_answer_e (*decide)(aigw_limit_charge_t *charges, int count, int hold, int *refused);
    void (*settle)(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count);
    void (*refund)(aigw_limit_charge_t *charges, int count);
} aigw_limit_store_vt;

/* Decides and, on yes, charges all. refused: the index of the charge that refuses longest, or -1.
 * hold: what is charged belongs to a call that is open: it is noted down, and where this process dies before it is settled all of it is given back. Exactly one settle or refund must follow a yes. */
aigw_limit_answer_e aigw_limit_store_decide(aigw_limit_charge_t *charges, int count, int hold, int *refused);

/* The call is over: sets right what was charged. actual[i]: what was really used (0 and more; more than was charged is owed); of a slot it does not matter, slots are given back. Harmless twice:
 * charged is cleared. Any thread; never blocks: Redis is told in the background. */
void aigw_limit_store_settle(aigw_limit_charge_t *charges, const apr_int64_t *actual, int count);

/* Gives everything back: it did not happen. For requests as for calls. Harmless twice. */
void aigw_limit_store_refund(aigw_limit_charge_t *charges, int count);

/* check_config, behind the core's: whether what AIGWLimitStore says can be had. 0, or the reason was logged. */
int aigw_limit_store_check_config(server_rec *main_server);

/* post_config: the memory. 0, or the reason was logged. */
int aigw_limit_store_post_config(server_rec *main_server);

/* Before the core's (limit_redis.h). */
void aigw_limit_store_child_init(apr_pool_t *pchild, server_rec *main_server);

/* The key of a limit for somebody (limit_who.h). by: AIGW_LIMIT_BY_*. Two rates of one line differ in their windows; what is written twice has one key. */
void aigw_limit_key(const aigw_limit_t *limit, unsigned by, const char *who, unsigned char key[AIGW_LIMIT_KEY]);

#endif
