#include "aigw_limit_ledger.h"

#define NONE 0 /* holds are numbered from 1, so that zeros are an empty ledger */

struct aigw_limit_ledger_t {
    apr_uint32_t holds;
    apr_uint32_t fresh;  /* those behind this one were never used */
    apr_uint32_t serial; /* counts the ids */
    apr_uint32_t used, free;
    /* behind it: aigw_limit_hold_t[holds] */
};

/* One behind each, as they are numbered from 1. */
static aigw_limit_hold_t *all(const aigw_limit_ledger_t *ledger)
{
    return (aigw_limit_hold_t *)((char *)ledger + APR_ALIGN_DEFAULT(sizeof *ledger)) - 1;
}

apr_size_t aigw_limit_ledger_size(apr_uint32_t holds)
{
    return APR_ALIGN_DEFAULT(sizeof(aigw_limit_ledger_t)) + (apr_size_t)holds * sizeof(aigw_limit_hold_t);
}

aigw_limit_ledger_t *aigw_limit_ledger_init(void *block, apr_uint32_t holds)
{
    aigw_limit_ledger_t *ledger = block;

    ledger->holds = holds;
    return ledger;
}

void aigw_limit_ledger_repair(aigw_limit_ledger_t *ledger)
{
    apr_uint32_t i;

    ledger->free = NONE;
    ledger->used = 0;
    for (i = ledger->fresh; i > 0; i--) {
        if (all(ledger)[i].id) {
            ledger->used++;
        }
        else {
            all(ledger)[i].next = ledger->free;
            ledger->free = i;
        }
    }
}

apr_uint32_t aigw_limit_ledger_room(const aigw_limit_ledger_t *ledger)
{
    return ledger->holds - ledger->used;
}

aigw_limit_hold_t *aigw_limit_ledger_take(aigw_limit_ledger_t *ledger, apr_uint64_t *id)
{
    apr_uint32_t i = ledger->free;

    if (i == NONE) {
        i = ++ledger->fresh;
    }
    else {
        ledger->free = all(ledger)[i].next;
    }
    ledger->used++;
    *id = (apr_uint64_t)++ledger->serial << 32 | i;
    return &all(ledger)[i];
}

void aigw_limit_ledger_give(aigw_limit_ledger_t *ledger, aigw_limit_hold_t *hold)
{
    hold->next = ledger->free;
    ledger->free = aigw_limit_ledger_place(ledger, hold);
    ledger->used--;
}

aigw_limit_hold_t *aigw_limit_ledger_find(const aigw_limit_ledger_t *ledger, apr_uint64_t id)
{
    const apr_uint32_t i = (apr_uint32_t)id;

    return i != NONE && i <= ledger->fresh && all(ledger)[i].id == id ? &all(ledger)[i] : NULL;
}

aigw_limit_hold_t *aigw_limit_ledger_next(const aigw_limit_ledger_t *ledger, apr_uint32_t *place)
{
    while (++*place <= ledger->fresh) {
        if (all(ledger)[*place].id) {
            return &all(ledger)[*place];
        }
    }
    return NULL;
}

apr_uint32_t aigw_limit_ledger_place(const aigw_limit_ledger_t *ledger, const aigw_limit_hold_t *hold)
{
    return (apr_uint32_t)(hold - all(ledger));
}

aigw_limit_hold_t *aigw_limit_ledger_at(const aigw_limit_ledger_t *ledger, apr_uint32_t place)
{
    return &all(ledger)[place];
}
