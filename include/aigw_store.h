/* The durable store: what must outlive a request, a child and httpd itself. Tasks and their callbacks now; conversations and usage later.
 *
 * AIGWStore says which one: "sqlite:PATH", "pgsql:CONNINFO" or "redis" (the server of AIGWRedis). Each is a provider (ap_register_provider, group AIGW_STORE_GROUP, version AIGW_STORE_VERSION) and
 * passes the very same tests (t/cases/store.t); a third party may bring another.
 *
 * Thread: any that may block; never the reactor's. A store has one writer or a pool of connections inside; nothing waits for longer than AIGWStoreTimeout.
 * What is returned as success is in the store for good: it survives kill -9, and with AIGWStoreSync full (the default) a power cut.
 * All times are microseconds since 1970, and of the store's own clock where it has one (PostgreSQL, Redis): machines need not agree.
 * All results live in the pool that was given. All strings are UTF-8 without NUL.
 *
 * Errors, of every function: APR_SUCCESS; APR_NOTFOUND, APR_EEXIST and so on as said there; APR_EAGAIN: the store cannot be asked now (it is away, full, or busy for too long; a numbered line was logged,
 * once for as long as it lasts): nothing was changed, or (a lost connection) nobody knows, and the operation may be tried again: all of them bear being done twice.
 */
#ifndef AIGW_STORE_H
#define AIGW_STORE_H

#include <httpd.h>
#include <apr_tables.h>
#include <apr_time.h>

#define AIGW_STORE_GROUP   "aigw_store"
#define AIGW_STORE_VERSION "1"

typedef struct aigw_store_t aigw_store_t; /* opened; the provider's own */

/* ------------------------------------------------------------------ tasks */

#define AIGW_TASK_ID 32 /* hexadecimal digits: 128 random bits, which nobody guesses */

typedef enum { AIGW_TASK_PENDING, AIGW_TASK_RUNNING, AIGW_TASK_COMPLETED, AIGW_TASK_FAILED, AIGW_TASK_CANCELLED } aigw_task_state_e;

#define AIGW_TASK_STATE_ANY (-1)

/* One job, as it is in the store. */
typedef struct aigw_task_t {
    const char *id;       /* AIGW_TASK_ID lower-case hexadecimal digits */
    const char *owner;    /* who made it; nobody else is told that it exists. Never empty */
    const char *server;   /* the virtual host whose models and limits hold: ServerName:port */
    const char *identity; /* JSON: what a call must know of who asked (tier, scopes, models, key, address, expiry); without any secret */
    const char *endpoint; /* "/v1/chat/completions" */
    const char *model;    /* as in the catalogue */
    const char *
        request; /* the body for that endpoint, JSON. NULL where it was not asked for, and once the task is over: it is kept no longer than it is needed */
    int priority; /* -100..100, higher first among the owner's own */
    aigw_task_state_e state;
    int attempts;       /* how often it was begun, without those that were handed back */
    apr_int64_t claims; /* how often it was claimed or taken back, all of them: as aigw_task_lease_t.number it only grows */
    int cancelling;     /* 1: the owner wants it to end; it is running still */
    double progress;    /* 0..1; of a running task as of its last sign of life */
    apr_int64_t tokens; /* of the answer so far; -1: not known */
    const char *result; /* JSON: the endpoint's answer; NULL: none (yet), or not asked for */
    const char *error;  /* JSON: {"message","type","param","code"}; NULL: none */
    const char *usage;  /* JSON of OpenAI's usage; NULL: not known */
    apr_time_t created, started, completed; /* 0: not yet */
    apr_time_t expires;                     /* when a finished one goes (its TTL); 0: it is not finished */
    apr_interval_time_t ttl;                /* from its end */
    const char *callback_url;               /* NULL: none */
} aigw_task_t;

/* What makes a creation the same as an earlier one. */
typedef struct aigw_task_once_t {
    const char *key;          /* Idempotency-Key, of this owner; NULL: each creation is a new one */
    const char *fingerprint;  /* of the request: another one under the same key is a mistake */
    apr_interval_time_t keep; /* for how long the key is remembered */
} aigw_task_once_t;

/* The right to run a task: until lease_until, and renewed. Whoever has not got it any more writes nothing. */
typedef struct aigw_task_lease_t {
    const char *id;
    const char *holder; /* of the process: unique for ever */
    apr_int64_t number; /* of this claim of this task; counts up */
} aigw_task_lease_t;

/* A running task's sign of life; and what comes back. */
typedef struct aigw_task_beat_t {
    aigw_task_lease_t lease;
    double progress;
    apr_int64_t tokens;
    /* out */
    unsigned lost : 1;       /* it is somebody else's now, or gone: end it without a word */
    unsigned cancelling : 1; /* its owner wants it to end */
} aigw_task_beat_t;

/* How a task ended; written only by who has the lease. */
typedef struct aigw_task_end_t {
    aigw_task_lease_t lease;
    aigw_task_state_e
        state; /* COMPLETED, FAILED, CANCELLED; PENDING: handed back, and no attempt is counted; cancelled, where its owner wants it to end */
    const char *result, *error, *usage; /* as above */
    apr_int64_t tokens;
    apr_interval_time_t delay; /* PENDING: not to be claimed before now + delay (a limit refused it); 0: at once */
    /* out */
    unsigned lost : 1; /* nothing was written: see aigw_task_beat_t.lost */
} aigw_task_end_t;

/* A page of somebody's tasks, newest first. */
typedef struct aigw_task_page_t {
    apr_array_header_t *tasks; /* const aigw_task_t *, without request and result */
    const char *next;          /* the cursor of the next page; NULL: that was all */
} aigw_task_page_t;

/* A callback that is due: the task has ended, and somebody wants to be told. */
typedef struct aigw_callback_t {
    const char *task; /* its id */
    const char *id;   /* webhook-id: the same in every attempt */
    const char *url;
    int attempts;      /* so far */
    apr_time_t first;  /* when it was due first */
    apr_int64_t lease; /* of this claim */
} aigw_callback_t;

/* What the other AIGWStore… directives say; constant, in the configuration's pool. */
typedef struct aigw_store_options_t {
    server_rec *server;          /* the main one, for the log */
    const char *password;        /* NULL: none */
    int sync_full;               /* AIGWStoreSync: 1: what was told to be written survives a power cut; 0: it may be undone, in order */
    apr_interval_time_t timeout; /* AIGWStoreTimeout, microseconds */
    int connections;             /* AIGWStoreConnections, of a child, for a store that has some */
} aigw_store_options_t;

typedef struct aigw_store_vt {
    const char *name; /* "sqlite" */

    /* While the configuration is read: NULL, or what is wrong with what follows the name in AIGWStore, and the remedy. In p. */
    const char *(*check)(apr_pool_t *p, const char *args);

    /* Once all of the configuration is read (configtest does that, too): does it go with what stands elsewhere, and can it be what it says? Else the reason and the remedy are logged. p: for work. Twice
     * does no harm. NULL: nothing to check. */
    apr_status_t (*check_config)(server_rec *main_server, apr_pool_t *p, const char *args);

    /* post_config, as the user httpd is started by: makes the file with the owner and the mode that the children need, and brings the schema up to date. A server that is away is no error (the children try
     * again); one that cannot be right (no permission, a schema that is newer than we are) is: the reason is logged. */
    apr_status_t (*prepare)(apr_pool_t *p, const char *args, const aigw_store_options_t *options);

    /* In the child. NULL: the reason is logged. p: pchild; the store closes with it, after what was submitted is written. */
    aigw_store_t *(*open)(apr_pool_t *p, const char *args, const aigw_store_options_t *options);

    /* Can it be asked? It may take as long as any other of these: who must answer at once remembers what was said last. */
    apr_status_t (*ping)(aigw_store_t *store);

    /* --- tasks: what endpoints ask */

    /* Puts in a task that is pending. max: how many unfinished ones this owner may have, 0: any number. *task: that of the store.
     * APR_SUCCESS: a new one. APR_EEXIST: the key was used for the same request: *task is that one. APR_EMISMATCH: it was used for another one. APR_ENOSPC: the owner has max of them. */
    apr_status_t (*task_create)(aigw_store_t *store, apr_pool_t *p, const aigw_task_t *from, const aigw_task_once_t *once, int max,
                                const aigw_task_t **task);

    /* with: 1: request and result too. APR_NOTFOUND: there is none, or it is another's; APR_EOF: it is over and its TTL, too, for less than a day. */
    apr_status_t (*task_get)(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, int with, const aigw_task_t **task);

    /* How n of them (at most 1,000) stand, whosever they are, for who watches them: tasks[i] is ids[i] without request and result, or NULL where it is not (or no more). */
    apr_status_t (*task_look)(aigw_store_t *store, apr_pool_t *p, const char *const *ids, int n, const aigw_task_t **tasks);

    /* state: AIGW_TASK_STATE_ANY or one. limit: 1..100. cursor: of the page before, NULL: the first. APR_EINVAL: that is no cursor of ours. */
    apr_status_t (*task_list)(aigw_store_t *store, apr_pool_t *p, const char *owner, int state, int limit, const char *cursor,
                              aigw_task_page_t *page);

    /* A pending one is cancelled; of a running one cancelling is set, and who runs it is told at its next sign of life. *task: as it is then. APR_NOTFOUND and APR_EOF as above. One that is over stays. */
    apr_status_t (*task_cancel)(aigw_store_t *store, apr_pool_t *p, const char *id, const char *owner, const aigw_task_t **task);

    /* --- tasks: what those ask who run them */

    /* At most max tasks to run now, until now + lease: fair between owners (who has waited longest since his last), of one owner by priority and then by age. tasks: aigw_task_t *, leases:
     * aigw_task_lease_t, both as long as *n. APR_EAGAIN: nobody knows of *n leases whether they are (perhaps only later): to be handed back (task_end, PENDING) as soon as the store knows them. */
    apr_status_t (*task_claim)(aigw_store_t *store, apr_pool_t *p, const char *holder, int max, apr_interval_time_t lease,
                               const aigw_task_t **tasks, aigw_task_lease_t *leases, int *n);

    /* Signs of life of all that run here, in one step; each lease holds until now + lease. */
    apr_status_t (*task_beat)(aigw_store_t *store, apr_pool_t *p, aigw_task_beat_t *beats, int n, apr_interval_time_t lease);

    /* They have ended; in one step. Each once: twice the same is the same. Callbacks become due. */
    apr_status_t (*task_end)(aigw_store_t *store, apr_pool_t *p, aigw_task_end_t *ends, int n);

    /* Tasks whose lease is over go back to pending, or, after attempts of them, to failed with that error; finished ones whose TTL is over go, after a day their tombstones; keys that are forgotten. At most
     * some hundreds at a time; *more: 1: there are more. Any child may, at any time. */
    apr_status_t (*task_sweep)(aigw_store_t *store, apr_pool_t *p, int attempts, const char *error, int *more);

    /* --- callbacks */

    /* At most max that are due, to be tried until now + lease. */
    apr_status_t (*callback_claim)(aigw_store_t *store, apr_pool_t *p, int max, apr_interval_time_t lease, aigw_callback_t *callbacks,
                                   int *n);

    /* It was tried. next: when to try again; 0: never (it has arrived, or was given up). */
    apr_status_t (*callback_tried)(aigw_store_t *store, apr_pool_t *p, const aigw_callback_t *callback, apr_interval_time_t next);

    /* --- numbers, for mod_status and metrics: how many tasks in each state, and callbacks that wait */
    apr_status_t (*count)(aigw_store_t *store, apr_pool_t *p, apr_int64_t states[5], apr_int64_t *callbacks);
} aigw_store_vt;

#endif
