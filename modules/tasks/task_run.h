/* One run of a task: the call that is made for it, what it counts, and how it ended.
 */
#ifndef AIGW_TASK_RUN_H
#define AIGW_TASK_RUN_H

#include "tasks.h"

#include <apr_ring.h>

/* Its memory is malloc'ed: the call's pool goes when the call ends. Thread: who holds the runner's mutex, where nothing else is said. */
typedef struct aigw_task_run_t {
    APR_RING_ENTRY(aigw_task_run_t) link; /* of the runner's */
    aigw_task_lease_t lease;              /* constant */
    aigw_call_t *call;                    /* while it goes on: as long as it stands here it may be cancelled */
    aigw_sink_t sink;                     /* ours, which counts, in front of inner. The call's thread */
    aigw_sink_t *inner;
    apr_int64_t max_tokens;       /* of the answer; 0: not known. Constant */
    volatile apr_uint32_t tokens; /* pieces of the answer so far. Any thread */
    volatile apr_uint32_t said;   /* what the model server says of its progress, millionths. Any thread */
    apr_int64_t written_tokens;   /* as the store knows it; the runner's thread */
    double written_progress;
    int cancelled; /* its owner wants it to end, or its lease is lost. Not beside the bits that follow: the call's thread writes those without the mutex */
    int started;               /* it may be cancelled */
    unsigned failed : 1;       /* the call had an error, which error tells */
    unsigned later : 1;        /* it may go well another time: a limit is reached */
    unsigned cut : 1;          /* nothing is wrong with it: a gateway is stopping, this one or one that it asked */
    apr_interval_time_t asked; /* later: after how long, as far as that was said */
    unsigned tells : 1;        /* somebody wants to be told of its end. Constant */
    apr_time_t created;        /* the task. Constant */
    unsigned owner;            /* a number of its owner, perhaps of others too. Constant */
    apr_interval_time_t delay; /* PENDING: not to be tried again before; the runner's */
    /* how it ended; written by the call's thread before aigw_task_runner_ended() */
    aigw_task_state_e state; /* the runner's to say */
    char *result, *error, *usage;
    apr_int64_t used; /* tokens of the answer; -1: not known */
} aigw_task_run_t;

/* NULL: no memory. holder must live as long as the run. */
aigw_task_run_t *aigw_task_run_make(const aigw_task_lease_t *lease, const char *holder);

/* Makes its call, ready to be started. 1: run->call is there. 0: the task cannot be run: run->failed and run->error say why. Thread: the runner's. */
int aigw_task_run_prepare(aigw_task_run_t *run, apr_pool_t *p, server_rec *main_server, const aigw_task_t *task);

/* Starts it; from now on it may end at any moment, with aigw_task_runner_ended(). An error: the child is stopping, nothing runs, and run->call is gone. Without the mutex. */
apr_status_t aigw_task_run_start(aigw_task_run_t *run);

/* 0..0.99: 1 is when it is over. Any thread. */
double aigw_task_run_progress(const aigw_task_run_t *run);

void aigw_task_run_free(aigw_task_run_t *run);

#endif
