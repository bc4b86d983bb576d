/* Where it is counted: a store decides over all limits of one point in one step; either all are charged, or none.
 *
 * Thread: a worker's; a store may block for a moment (a lock, Redis), never for longer than its time-outs.
 */
#ifndef AIGW_LIMIT_STORE_H
#define AIGW_LIMIT_STORE_H

#include "limit.h"
#include "aigw_limit_table.h"

/* One limit for one user, address, …. */
typedef struct aigw_limit_charge_t {
    const aigw_limit_t *limit;
    unsigned char key[AIGW_LIMIT_KEY];
    apr_int64_t cost; /* 0: asked, not charged */
    /* what the store says */
    apr_int64_t left;          /* after charging, 0..amount */
    apr_interval_time_t wait;  /* microseconds until the cost would be there; 0: it was */
    apr_interval_time_t reset; /* microseconds until all of it is there again */
    apr_time_t charged_at;     /* by the store's clock, for giving back; 0: it was not charged */
} aigw_limit_charge_t;

typedef enum {
    AIGW_LIMIT_YES,
    AIGW_LIMIT_NO,         /* refused says which */
    AIGW_LIMIT_UNAVAILABLE /* the store cannot be asked */
} aigw_limit_answer_e;

/* Decides and, on yes, charges. refused: the index of the charge that refuses longest, or -1. */
aigw_limit_answer_e aigw_limit_store_decide(aigw_limit_charge_t *charges, int count, int *refused);

/* Sets right what was charged: more (what there is no room for is owed) or less (given back), by charge->charged_at. */
void aigw_limit_store_adjust(const aigw_limit_charge_t *charge, apr_int64_t more);

/* post_config: the memory. 0, or the reason was logged. */
int aigw_limit_store_post_config(server_rec *main_server);

/* The key of a limit for somebody: a hash under the process's secret. */
void aigw_limit_store_key(const aigw_limit_t *limit, const char *who, unsigned char key[AIGW_LIMIT_KEY]);

/* For mod_status and metrics: all stripes together. */
void aigw_limit_store_count(apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted);

#endif
