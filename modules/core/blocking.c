#include "blocking.h"
#include "child.h"
#include "client.h"
#include "engine.h"
#include "error.h"
#include "aigw_source.h"

#include <http_connection.h>
#include <http_core.h>
#include <apr_portable.h>
#include <mpm_common.h>
#include <ap_mpm.h>

#include <errno.h>
#include <poll.h>

/* An HTTP/2 stream has no socket to watch: its master sets c->aborted, so look so often. */
#define LOOK_MS 40
/* The longest wait without a look at the child's state. */
#define WAIT_MS 250

/* How long to wait, in ms, rounded up so that a timer has run out when we wake. */
static int wait_ms(const aigw_engine_t *eng, apr_time_t now, apr_time_t until, int look)
{
    apr_interval_time_t left = eng->deadline ? eng->deadline - now : apr_time_from_msec(WAIT_MS);
    int max = look ? LOOK_MS : WAIT_MS, ms;

    if (until && until - now < left) {
        left = until - now;
    }
    ms = left <= 0 ? 0 : left > apr_time_from_sec(60) ? max : (int)((left + 999) / 1000);
    return ms > max ? max : ms;
}

static int client_fd(request_rec *r)
{
    apr_os_sock_t fd = -1;

    if (r && !r->connection->master) {
        apr_socket_t *sock = ap_get_conn_socket(r->connection);
        if (sock) {
            apr_os_sock_get(&fd, sock);
        }
    }
    return fd;
}

static void wait_for(aigw_call_t *call, apr_time_t now, apr_time_t until)
{
    aigw_engine_t *eng = call->engine;
    request_rec *r = eng->draining ? NULL : call->client;
    struct pollfd pfd[2];
    int n = 0, rc, cfd = client_fd(r);

    if (call->source->fd >= 0) {
        pfd[n].fd = call->source->fd;
        pfd[n].events = POLLIN;
        pfd[n++].revents = 0;
    }
    if (cfd >= 0) {
        pfd[n].fd = cfd;
        pfd[n].events = POLLRDHUP;
        pfd[n++].revents = 0;
    }
    rc = poll(pfd, (nfds_t)n, wait_ms(eng, now, until, r && cfd < 0));
    if (rc > 0 && cfd >= 0 && (pfd[n - 1].revents & (POLLRDHUP | POLLHUP | POLLERR))) {
        aigw_client_abort(r);
    }
}

void aigw_blocking_run(aigw_call_t *call)
{
    aigw_blocking_run_until(call, 0);
}

int aigw_blocking_run_until(aigw_call_t *call, apr_time_t until)
{
    for (;;) {
        apr_time_t now = aigw_clock_now();

        if (aigw_child_is_stopping()) {
            aigw_engine_fail(call, aigw_error_make(call->pool, 503, "shutting_down", NULL, "The gateway is being stopped."));
            return 1;
        }
        switch (aigw_engine_turn(call, now)) {
        case AIGW_TURN_AGAIN:
        case AIGW_TURN_DETACH: /* the connection cannot go anywhere without this thread: drain here */
            break;
        case AIGW_TURN_WAIT:
            if (until && now >= until) {
                return 0;
            }
            wait_for(call, now, until);
            break;
        case AIGW_TURN_WORKER:
            if (!call->engine->restart || !aigw_engine_restart(call)) {
                return 1;
            }
            break;
        }
    }
}
