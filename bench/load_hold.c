/* aigw-load --hold: opens its streams and keeps them open until it is told to end, while somebody measures what they cost. With --json and --keep-alive
 * each connection has its answer and stays idle. */
#define _GNU_SOURCE
#include "load.h"

#include <sys/epoll.h>
#include <unistd.h>

/* The main loop knows the NULL. */
static void watch_stdin(void)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = NULL};

    if (epoll_ctl(epfd, EPOLL_CTL_ADD, STDIN_FILENO, &e)) {
        fputs("aigw-load: stdin cannot be waited for: SIGTERM ends this\n", stderr); /* a file, or /dev/null */
    }
}

static void let_go(void)
{
    long i;

    for (i = 0; i < slots_n; i++) {
        if (slots[i].serial >= 0) {
            count.held++;
            stream_leave(&slots[i], 0);
        }
        conn_close(&slots[i], 0);
    }
}

int hold_step(void)
{
    static int told;

    if (stopping) {
        let_go();
        return -1;
    }
    if (!told && all_begun()) {
        told = 1;
        printf("{\"open\": %ld}\n", opt.json ? count.completed - count.idle_closed : count.started);
        fflush(stdout);
        watch_stdin();
    }
    if (!told) {
        begin_some();
    }
    return told ? 500 : 2;
}
