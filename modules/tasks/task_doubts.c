#include "task_doubts.h"
#include "task_runner_state.h"

#include <apr_strings.h>

typedef struct doubt_t {
    APR_RING_ENTRY(doubt_t) link;
    char id[AIGW_TASK_ID + 1];
    aigw_task_lease_t lease;
    apr_time_t until; /* of aigw_clock_now(): then the lease is over */
} doubt_t;

APR_RING_HEAD(doubts_t, doubt_t);

static struct {
    struct doubts_t all;
    int ready, n;
    apr_time_t looked;
} doubts;

static void forget(doubt_t *doubt)
{
    APR_RING_REMOVE(doubt, link);
    doubts.n--;
    free(doubt);
}

void aigw_task_doubts_add(const aigw_task_lease_t *leases, int n)
{
    const apr_time_t now = aigw_clock_now();
    doubt_t *doubt;
    int i;

    if (!doubts.ready) {
        APR_RING_INIT(&doubts.all, doubt_t, link);
        doubts.ready = 1;
    }
    for (i = 0; i < n && (doubt = calloc(1, sizeof *doubt)) != NULL; i++) {
        apr_cpystrn(doubt->id, leases[i].id, sizeof doubt->id);
        doubt->lease = leases[i];
        doubt->lease.id = doubt->id;
        doubt->until = now + aigw_tasks_conf()->lease;
        APR_RING_INSERT_TAIL(&doubts.all, doubt, doubt_t, link);
        doubts.n++;
    }
}

void aigw_task_doubts_drop(const aigw_task_lease_t *leases, int n)
{
    doubt_t *doubt, *next;
    int i;

    if (!doubts.n) {
        return;
    }
    for (doubt = APR_RING_FIRST(&doubts.all); doubt != APR_RING_SENTINEL(&doubts.all, doubt_t, link); doubt = next) {
        next = APR_RING_NEXT(doubt, link);
        for (i = 0; i < n && strcmp(leases[i].id, doubt->id) != 0; i++) {
        }
        if (i < n) {
            forget(doubt);
        }
    }
}

/* What the store does not know of it may know later, until its lease is over. */
static void heed(const aigw_task_end_t *ends, apr_time_t now)
{
    doubt_t *doubt, *next;
    int i = 0;

    for (doubt = APR_RING_FIRST(&doubts.all); doubt != APR_RING_SENTINEL(&doubts.all, doubt_t, link); doubt = next) {
        next = APR_RING_NEXT(doubt, link);
        if (!ends[i++].lost || doubt->until <= now) {
            forget(doubt);
        }
    }
}

void aigw_task_doubts_settle(apr_pool_t *p, int last)
{
    const apr_time_t now = aigw_clock_now();
    aigw_task_end_t *ends;
    doubt_t *doubt;
    apr_status_t rv;
    int i = 0;

    if (!doubts.n || (!last && now - doubts.looked < AIGW_TASK_TICK)) {
        return;
    }
    doubts.looked = now;
    ends = apr_pcalloc(p, (apr_size_t)doubts.n * sizeof *ends);
    APR_RING_FOREACH(doubt, &doubts.all, doubt_t, link)
    {
        ends[i].lease = doubt->lease;
        ends[i].state = AIGW_TASK_PENDING;
        ends[i++].tokens = -1;
    }
    rv = aigw_task_runner.vt->task_end(aigw_task_runner.store, p, ends, i);
    while (rv != APR_SUCCESS && i > 0) {
        ends[--i].lost = 1;
    }
    heed(ends, now);
    apr_pool_clear(p);
}
