#include "park.h"
#include "call.h"
#include "child.h"
#include "client.h"
#include "conf.h"
#include "detached.h"
#include "engine.h"
#include "error.h"
#include "reactor.h"
#include "request.h"
#include "aigw_source.h"

#include <ap_mmn.h>
#include <ap_mpm.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <apr_atomic.h>
#include <apr_portable.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw);

/* CONN_STATE_ASYNC_WAITIO and AP_MPMQ_CAN_WAITIO came with httpd 2.4.63. Built for an older one, nothing is ever parked. */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 137)
#define CONN_STATE_ASYNC_WAITIO CONN_STATE_SUSPENDED
#define CONN_STATE_PROCESSING   CONN_STATE_READ_REQUEST_LINE
#define AP_MPMQ_CAN_WAITIO      (-1)
#endif

/* One for each connection, in its pool. */
typedef struct park_t {
    conn_rec *c;
    apr_thread_mutex_t
        *lock;         /* made for the first stream of the connection. Held by a worker from resume to suspend, by the reactor for a turn */
    aigw_call_t *call; /* the parked one; NULL: none, or it was detached. Under lock while parked */
    request_rec *r;    /* whose answer it is; not NULL: parked, or about to be */
    request_rec *closing; /* taken back because the MPM closes the connection; to be finished in pre_close_connection */
    aigw_call_t *closing_call;
    int nonblocking; /* for the output filter: never wait for the client */
    int event_fd;
    apr_os_sock_t client_fd;
    apr_socket_t *mpm_socket; /* the connection's own, which the MPM polls */
    apr_socket_t *io;         /* the client's descriptor while mpm_socket has the eventfd; made for the first stream */
    apr_interval_time_t kick_every;
    /* no bit-fields: threads that hold the lock and threads that need not write different ones */
    int inner;             /* inside our nested ap_run_process_connection(). The connection's worker only */
    int parked;            /* the eventfd is in the MPM's hands. The connection's worker only */
    int published, locked; /* the reactor has had it; a worker holds the lock. Under lock */
    int done;              /* a worker must take it. Under lock */
} park_t;

static int can_wait;
/* Connections that came while this child was not being stopped: the MPM has counted them. */
static volatile apr_uint32_t counted;

static park_t *park_of(conn_rec *c)
{
    return ap_get_module_config(c->conn_config, &aigw_module);
}

int aigw_park_supported(void)
{
    return can_wait;
}

void aigw_park_query_mpm(void)
{
    int async = 0, waitio = 0;

    can_wait = ap_mpm_query(AP_MPMQ_IS_ASYNC, &async) == APR_SUCCESS && async && ap_mpm_query(AP_MPMQ_CAN_WAITIO, &waitio) == APR_SUCCESS &&
               waitio;
}

/* ------------------------------------------------------------------ may this request be parked? */

/* Filters known to sleep or to block in their output path. */
static int filters_block(request_rec *r)
{
    static const char *const blocking[] = {"rate_limit", "includes", "include", NULL};
    ap_filter_t *f;
    int i;

    for (f = r->output_filters; f; f = f->next) {
        for (i = 0; blocking[i]; i++) {
            if (!ap_cstr_casecmp(f->frec->name, blocking[i])) {
                return 1;
            }
        }
    }
    return 0;
}

/* Two internals of httpd carry the park: the MPM polls the descriptor of ap_get_conn_socket(c), and core's output filter writes to core_net_rec.client_socket.
 * Where they are not as we know them, the request runs blocking. */
static int core_is_as_known(conn_rec *c)
{
    ap_filter_t *f = aigw_client_core_filter(c);
    core_net_rec *net = f->ctx;

    return !ap_cstr_casecmp(f->frec->name, "core") && net && net->c == c && net->client_socket == ap_get_conn_socket(c);
}

static apr_status_t count_out(void *data)
{
    apr_atomic_dec32(&counted);
    return APR_SUCCESS;
}

/* The listener of a child that is being stopped ends when the MPM counts no connection, and one that it has just accepted is not counted before a worker takes it:
 * nobody would poll that any more. If one that was counted before has been there all the time, the listener is too, and now stays for this one as well. */
static int listener_stays(void)
{
    return apr_atomic_read32(&counted) != 0;
}

static int can_park(request_rec *r, aigw_call_t *call)
{
    conn_rec *c = r->connection;
    park_t *park;

    return can_wait && call->engine->conf->park && !c->master && c->cs && !c->clogging_input_filters && !r->main && !r->prev &&
           !c->aborted && (park = park_of(c)) != NULL && park->inner && !park->r && core_is_as_known(c) && !filters_block(r) &&
           listener_stays() && aigw_reactor_running();
}

/* ------------------------------------------------------------------ in and out */

static void park_kick(aigw_drive_t *d, apr_time_t now);
static void park_hand_back(aigw_drive_t *d);
static void park_detach(aigw_drive_t *d);

int aigw_park(request_rec *r, aigw_call_t *call)
{
    conn_rec *c = r->connection;
    aigw_drive_t *d = &call->engine->drive;
    apr_interval_time_t timeout;
    park_t *park;

    if (!can_park(r, call)) {
        return 0;
    }
    park = park_of(c);
    if (!park->lock && apr_thread_mutex_create(&park->lock, APR_THREAD_MUTEX_DEFAULT, c->pool) != APR_SUCCESS) {
        return 0;
    }
    park->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (park->event_fd < 0) {
        ap_log_rerror(
            APLOG_MARK, APLOG_WARNING, errno, r,
            "AIGW0140: no descriptor to park this connection, its answer keeps a worker thread: raise the limit of open files (ulimit -n)");
        return 0;
    }
    timeout = r->server->timeout < c->base_server->timeout ? r->server->timeout : c->base_server->timeout;
    park->kick_every = timeout / 2;
    park->r = r;
    park->call = call;
    park->published = park->done = 0;
    d->lock = park->lock;
    d->kick = park_kick;
    d->hand_back = park_hand_back;
    d->detach = park_detach;
    d->reactor = NULL;
    return 1;
}

/* The MPM gets the eventfd, the core output filter a second socket object for the client. */
static void put_away(park_t *park)
{
    conn_rec *c = park->c;
    core_net_rec *net = aigw_client_core_filter(c)->ctx;

    park->mpm_socket = ap_get_conn_socket(c);
    apr_os_sock_get(&park->client_fd, park->mpm_socket);
    /* made from NULL it registers no cleanup: mpm_socket owns the descriptor. client.c sets its time-out before core writes to it */
    apr_os_sock_put(&park->io, &park->client_fd, c->pool);
    net->client_socket = park->io;
    apr_os_sock_put(&park->mpm_socket, &park->event_fd, c->pool);
    park->nonblocking = 1;
    park->parked = 1;
    park->call->engine->nonblocking = 1;
    park->call->engine->drive.client.fd = park->client_fd;
}

/* A hard stop closes whatever its workers have in hand, and an MPM that cannot poll closes the connection. */
static int mpm_closed_it(park_t *park)
{
    apr_os_sock_t fd = -1;

    return apr_os_sock_get(&fd, park->mpm_socket) != APR_SUCCESS || fd != park->event_fd;
}

static apr_status_t close_client(void *data)
{
    park_t *park = data;

    return apr_socket_close(park->mpm_socket);
}

static void put_back(park_t *park)
{
    core_net_rec *net = aigw_client_core_filter(park->c)->ctx;

    if (mpm_closed_it(park)) { /* and with it went what would close the client's */
        apr_pool_cleanup_register(park->c->pool, park, close_client, apr_pool_cleanup_null);
    }
    else {
        close(park->event_fd);
    }
    apr_os_sock_put(&park->mpm_socket, &park->client_fd, park->c->pool);
    net->client_socket = park->mpm_socket;
    park->event_fd = -1;
    park->nonblocking = 0;
    park->parked = 0;
    if (park->call) {
        park->call->engine->nonblocking = 0;
    }
}

static void wait_parked(park_t *park)
{
    park->c->cs->state = CONN_STATE_ASYNC_WAITIO;
    park->c->cs->sense = CONN_SENSE_WANT_READ;
    if (park->call) {
        park->call->engine->drive.kick_at = aigw_clock_now() + park->kick_every;
    }
}

static void call_worker(park_t *park)
{
    const apr_uint64_t one = 1;

    if (!mpm_closed_it(park) && write(park->event_fd, &one, sizeof one) < 0 && errno != EAGAIN) {
        ap_log_cerror(APLOG_MARK, APLOG_CRIT, errno, park->c,
                      "AIGW0141: a parked connection cannot be given back, it waits for its Timeout");
    }
}

/* ------------------------------------------------------------------ called by the reactor, lock held */

/* Timeout counts while the MPM polls: let it come by a worker now and then. */
static void park_kick(aigw_drive_t *d, apr_time_t now)
{
    park_t *park = park_of(d->call->client->connection);

    d->kick_at = now + park->kick_every;
    call_worker(park);
}

static void park_hand_back(aigw_drive_t *d)
{
    park_t *park = park_of(d->call->client->connection);

    park->done = 1;
    call_worker(park);
}

/* ------------------------------------------------------------------ a drained call goes on alone */

static void detached_hand_back(aigw_drive_t *d)
{
    aigw_detached_finish(d->call);
}

static void park_detach(aigw_drive_t *d)
{
    aigw_call_t *call = d->call;
    park_t *park = park_of(call->client->connection);

    aigw_call_deafen(call);
    d->lock = NULL;
    d->hand_back = detached_hand_back;
    call->client = NULL;
    call->per_dir = call->server->lookup_defaults; /* the location's own went with the request's pool */
    call->body = NULL;
    call->engine->nonblocking = 0;
    park->call = NULL;
    park->done = 1;
    call_worker(park);
}

/* ------------------------------------------------------------------ finishing, on a worker */

/* What follows the handler in ap_process_async_request(). After it r is gone. The call is NULL where it drains without its client. */
static void finish_request(request_rec *r, aigw_call_t *call)
{
    if (call) {
        aigw_call_finish(call);
    }
    ap_finalize_request_protocol(r);
    ap_process_request_after_handler(r);
}

static int take_over(park_t *park)
{
    request_rec *r = park->r;
    aigw_call_t *call = park->call;

    if (call && call->engine->restart && !park->c->aborted) {
        /* failed before its first byte: ask once more, here where we may block */
        if (aigw_engine_restart(call)) {
            park->done = 0;
            park->published = 0;
            wait_parked(park);
            return OK;
        }
    }
    park->locked = 0;
    apr_thread_mutex_unlock(park->lock);
    put_back(park);
    park->r = NULL;
    park->call = NULL;
    if (call && call->engine->phase < AIGW_PHASE_OVER) {
        aigw_engine_client_gone(call, aigw_clock_now());
    }
    finish_request(r, call);
    return OK;
}

/* ------------------------------------------------------------------ hooks */

/* The MPM found the eventfd readable: a kick, or the call is over. The lock is held since resume(). */
static int parked_connection(park_t *park)
{
    apr_uint64_t n;

    if (!mpm_closed_it(park) && read(park->event_fd, &n, sizeof n) < 0 && errno != EAGAIN) {
        ap_log_cerror(APLOG_MARK, APLOG_CRIT, errno, park->c, "AIGW0142: the event descriptor of a parked connection cannot be read");
    }
    if (!park->done && park->c->aborted && park->call) {
        /* the reactor saw the client go and hands the call back at the end of its batch: the MPM would close the connection at once */
        aigw_take_t take = aigw_reactor_take_begin(&park->call->engine->drive);

        apr_thread_mutex_unlock(park->lock);
        aigw_reactor_take_wait(&take);
        apr_thread_mutex_lock(park->lock);
        park->done = 1;
    }
    if (!park->done) {
        wait_parked(park);
        return OK;
    }
    return take_over(park);
}

static int process_connection(conn_rec *c)
{
    park_t *park = c->master || !c->cs ? NULL : park_of(c);
    int rc;

    if (!park || park->inner) {
        return DECLINED;
    }
    if (park->parked) {
        return parked_connection(park);
    }
    /* everyone else's hook, the last being core's HTTP processing, which runs our handler */
    park->inner = 1;
    rc = ap_run_process_connection(c);
    park->inner = 0;
    if (park->r && rc == OK && c->cs->state == CONN_STATE_SUSPENDED) {
        if (c->aborted) { /* the MPM would close it at once */
            request_rec *r = park->r;
            aigw_call_t *call = park->call;

            close(park->event_fd);
            park->event_fd = -1;
            park->r = NULL;
            park->call = NULL;
            aigw_engine_client_gone(call, aigw_clock_now());
            finish_request(r, call);
            return rc;
        }
        apr_thread_mutex_lock(park->lock);
        park->locked = 1;
        put_away(park);
        wait_parked(park);
    }
    return rc;
}

/* The reactor has stopped: the child is on its way out, and so is the call. */
static void refuse(park_t *park)
{
    aigw_call_t *call = park->call;

    aigw_engine_fail(call, aigw_error_make(call->pool, 503, "shutting_down", NULL, "The gateway is being stopped."));
    park->done = 1;
    call_worker(park);
}

/* The MPM's last use of the connection before it polls: now the reactor may have it. */
static void suspend_connection(conn_rec *c, request_rec *r)
{
    park_t *park = c->master ? NULL : park_of(c);

    if (park && park->locked) {
        aigw_drive_t *d = !park->published && park->call ? &park->call->engine->drive : NULL;

        park->published = 1;
        park->locked = 0;
        /* unlocked first: the reactor is awake before add() is back. Until then nobody else knows the drive, and the MPM polls only after this hook */
        apr_thread_mutex_unlock(park->lock);
        if (d && !aigw_reactor_add(d)) {
            apr_thread_mutex_lock(park->lock);
            refuse(park);
            apr_thread_mutex_unlock(park->lock);
        }
    }
}

static void resume_connection(conn_rec *c, request_rec *r)
{
    park_t *park = c->master ? NULL : park_of(c);

    if (!park || !park->parked) {
        return;
    }
    apr_thread_mutex_lock(park->lock);
    if (c->cs->state == CONN_STATE_PROCESSING) {
        park->locked = 1; /* until suspend() */
        return;
    }
    /* The MPM closes it: its Timeout ran out with all workers busy, or the child ends. The stream is taken back now, and finished in pre_close_connection():
     * other modules' resume hooks still get r. */
    park->closing = park->r;
    if (park->call && !park->done) {
        aigw_take_t take = aigw_reactor_take_begin(&park->call->engine->drive);

        apr_thread_mutex_unlock(park->lock);
        aigw_reactor_take_wait(&take);
        apr_thread_mutex_lock(park->lock);
    }
    park->closing_call = park->call; /* NULL by now if it was detached */
    apr_thread_mutex_unlock(park->lock);
    put_back(park);
    if (park->closing_call && park->closing_call->engine->phase < AIGW_PHASE_OVER) {
        /* at once: a child that is being stopped hard closes without the hook below, and mod_proxy's pools assert that nothing is in use */
        park->closing_call->engine->no_drain = 1; /* no reactor to go on in */
        aigw_engine_client_gone(park->closing_call, aigw_clock_now());
    }
    park->r = NULL;
    park->call = NULL;
    c->aborted = 1;
    ap_log_cerror(
        APLOG_MARK, APLOG_WARNING, 0, c,
        "AIGW0143: the MPM closed a connection in the middle of its answer: all workers were busy for Timeout, or the child ended");
}

static int pre_close_connection(conn_rec *c)
{
    park_t *park = c->master ? NULL : park_of(c);

    if (park && park->closing) {
        conn_state_e state = c->cs->state;
        request_rec *closing = park->closing;
        aigw_call_t *call = park->closing_call;

        park->closing = NULL;
        park->closing_call = NULL;
        finish_request(closing, call);
        c->cs->state = state;
    }
    return OK;
}

static int pre_connection(conn_rec *c, void *csd)
{
    if (!c->master && can_wait && c->sbh) { /* without a scoreboard handle it is a connection to an upstream */
        park_t *park = apr_pcalloc(c->pool, sizeof *park);
        park->c = c;
        park->event_fd = -1;
        if (!aigw_child_is_leaving()) {
            apr_atomic_inc32(&counted);
            apr_pool_cleanup_register(c->pool, NULL, count_out, apr_pool_cleanup_null);
        }
        ap_set_module_config(c->conn_config, &aigw_module, park);
        aigw_client_add_filter(c, &park->nonblocking);
    }
    return OK;
}

void aigw_park_register(apr_pool_t *p)
{
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_process_connection(process_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_suspend_connection(suspend_connection, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_resume_connection(resume_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_pre_close_connection(pre_close_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
