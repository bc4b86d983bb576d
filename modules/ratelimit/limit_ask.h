/* What all points have in common: which limits are asked there, of whom, and what becomes of the answer. */
#ifndef AIGW_LIMIT_ASK_H
#define AIGW_LIMIT_ASK_H

#include "limit_store.h"
#include "limit_who.h"

typedef enum {
    AIGW_LIMIT_POINT_ADDRESS,  /* requests, as soon as the location is known */
    AIGW_LIMIT_POINT_IDENTITY, /* requests, when it is known who it is */
    AIGW_LIMIT_POINT_CALL,     /* tokens, slots, and all that is counted by model */
    AIGW_LIMIT_POINT_ANY
} aigw_limit_point_e;

/* Adds a charge of cost 1 for each limit of that point to the array of aigw_limit_charge_t. around: the merged section of the location. */
void aigw_limit_gather(apr_array_header_t *charges, const aigw_limit_asker_t *asker, const aigw_limit_section_t *around,
                       aigw_limit_point_e point);

/* What AIGWLimitExempt says for this request. */
int aigw_limit_exempt(request_rec *r, const aigw_limit_section_t *section);

/* Asks the store in one step; logs what was refused, and what a dry run lets through. hold: as of aigw_limit_store_decide(). NULL: all is charged, else nothing is and this is why, in p. */
const aigw_error_t *aigw_limit_ask(aigw_limit_charge_t *charges, int count, int hold, const aigw_limit_asker_t *asker, apr_pool_t *p);

#endif
