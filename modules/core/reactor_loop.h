/* One reactor thread, as reactor.c (its loop) and reactors.c (the child's set of them) know it. Nobody else includes this. */
#ifndef AIGW_REACTOR_LOOP_H
#define AIGW_REACTOR_LOOP_H

#include <apr_thread_cond.h>
#include <apr_thread_proc.h>
#include "reactor.h"

APR_RING_HEAD(drive_ring, aigw_drive_t);

typedef struct aigw_reactor_t {
    int epfd, wakefd;
    apr_thread_t *thread;
    aigw_watch_t wake_watch;
    aigw_timers_t *timers;

    apr_thread_mutex_t *mutex;  /* for what follows */
    apr_thread_cond_t *cond;    /* taken has changed, or running */
    struct drive_ring incoming; /* given by other threads */
    unsigned woken, takes, taken, running, closed, nudged;

    /* the thread's own */
    struct drive_ring active; /* all but those in busy */
    struct drive_ring busy;
    struct drive_ring leaving; /* to be handed back after this batch */
    volatile apr_uint32_t count;
} aigw_reactor_t;

/* The thread's function; data is its aigw_reactor_t. */
void *APR_THREAD_FUNC aigw_reactor_loop(apr_thread_t *thread, void *data);

/* 1 once the threads are to end. Any thread. */
int aigw_reactors_stopping(void);

#endif
