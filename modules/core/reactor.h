/* The reactor: N threads a child, each with an epoll set and a heap of timers, that give parked and detached calls their turns. Never blocks.
 *
 * Raw epoll, not apr_pollset: APR knows neither EPOLLRDHUP (a client that went away behind unread bytes or a TLS close_notify is invisible otherwise) nor MOD.
 *
 * A drive is a call's place in the reactor. It belongs to the reactor from aigw_reactor_add() until hand_back() is called or aigw_reactor_take() returns 1.
 * While a park's connection is on a worker between the MPM's resume and suspend hooks, the worker holds *lock: the reactor then passes the call over for that turn.
 */
#ifndef AIGW_REACTOR_H
#define AIGW_REACTOR_H

#include <httpd.h>
#include <apr_ring.h>
#include <apr_thread_mutex.h>
#include "aigw_timers.h"

struct aigw_call_t;
struct aigw_reactor_t;
typedef struct aigw_drive_t aigw_drive_t;

/* A file descriptor in an epoll set; what epoll_event.data.ptr points to. */
typedef struct aigw_watch_t {
    aigw_drive_t *drive; /* NULL: the reactor's own wake-up descriptor */
    int fd;              /* -1: none */
    unsigned events;     /* registered epoll events, 0: not registered */
} aigw_watch_t;

struct aigw_drive_t {
    APR_RING_ENTRY(aigw_drive_t) link;
    struct aigw_call_t *call;
    struct aigw_reactor_t *reactor; /* which thread's; set by aigw_reactor_choose(), for good */
    apr_thread_mutex_t *lock;       /* the park's; NULL for a detached call */
    aigw_watch_t upstream, client;
    aigw_timer_t timer;
    apr_time_t kick_at; /* call kick() then, 0: never. Under lock */
    int busy;           /* in the ring of those that have more to do at once */
    int gone;           /* no longer the reactor's: events still in this batch are passed over */
    int hung_up;        /* the client has gone; told to the connection in the next turn, under lock */
    int taking;         /* a worker waits in aigw_reactor_take(). Under the reactor's mutex */

    /* All in the reactor's thread, *lock held where there is one. */
    void (*kick)(aigw_drive_t *drive, apr_time_t now); /* renew the MPM's time-out; sets kick_at */
    void (*hand_back)(aigw_drive_t *drive);            /* the call is for a worker now; the reactor has let go of it */
    void (*detach)(aigw_drive_t *drive);               /* give the client's connection back; the call goes on without it and without lock */
};

/* Starts the threads of this child if they do not run. p: the child's pool. Any thread. APR_SUCCESS, or why not (calls then run blocking). */
apr_status_t aigw_reactor_start(apr_pool_t *p, server_rec *main_server, int threads);

int aigw_reactor_running(void);

/* Says which thread's the drive will be; aigw_reactor_add() does it where nobody has. Who lets others nudge it does it before: they may be earlier than its add, and must find
 * the thread that looks at what they have written. The reactor must run. */
void aigw_reactor_choose(aigw_drive_t *drive);

/* Gives a drive to the reactor; call->source->fd and drive->client.fd say what to watch. Any thread. 0: it has stopped, the drive stays the caller's. */
int aigw_reactor_add(aigw_drive_t *drive);

/* A drive is being taken back: what a worker waits for. */
typedef struct aigw_take_t {
    struct aigw_reactor_t *reactor;
    unsigned ticket;
} aigw_take_t;

/* Takes a drive back whatever the reactor is doing with it, in two steps: _begin with *lock held (so the drive is there), then _wait without it, which lasts until the end
 * of the reactor's batch and does not touch the drive. A worker's thread. After it the drive is the caller's, also where it has been handed back or the reactor was
 * stopped meanwhile; where it was detached meanwhile it is gone, which the park knows. */
aigw_take_t aigw_reactor_take_begin(aigw_drive_t *drive);
void aigw_reactor_take_wait(const aigw_take_t *take);

/* Before the source lets its descriptor go: takes it out of the epoll set, for it may be another connection's a moment later. The thread that owns the call. */
void aigw_reactor_unwatch_upstream(aigw_drive_t *drive);

/* Makes the reactor give this drive a turn soon (its call was cancelled). Any thread; it must be chosen which reactor's the drive is, and the drive must be that one's, or
 * become it or be handed back later. */
void aigw_reactor_nudge(aigw_drive_t *drive);

/* Ends the threads. Every call that is left is failed (`shutting_down`), told to its client as far as that takes it at once, and its upstream released.
 * The MPM's main thread, or the last. Twice is harmless. */
void aigw_reactor_stop(void);

/* The same without waiting for the threads; a later aigw_reactor_stop() does that. Async-signal-safe. */
void aigw_reactor_end_soon(void);

/* Calls that the reactor has now, all threads. */
unsigned aigw_reactor_count(void);

#endif
