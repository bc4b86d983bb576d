/* What a child process has once: its pool, its main server, its event loops, its helper threads. */
#ifndef AIGW_CHILD_H
#define AIGW_CHILD_H

#include <httpd.h>
#include <apr_thread_pool.h>

/* child_init, before anybody starts a thread. */
void aigw_child_threads(apr_pool_t *pchild, server_rec *main_server);

/* child_init. */
void aigw_child_init(apr_pool_t *pchild, server_rec *main_server);

/* Starts the event loops if they do not run yet. Any thread; may block for a moment. 1: they run. */
int aigw_child_reactors(void);

/* Runs fn(thread, call) on one of a few helper threads, which may block. Any thread, the reactor included. */
apr_status_t aigw_child_help(apr_thread_start_t fn, void *baton);

/* 1 once this child is being stopped the hard way: threads that wait for an upstream must give up. Any thread. */
int aigw_child_is_stopping(void);

/* 1 once this child is being stopped, gracefully too: it was told so, or has had its MaxConnectionsPerChild. Any thread. */
int aigw_child_is_leaving(void);

/* child_stopping: on a hard stop every call ends now. */
void aigw_child_stopping(apr_pool_t *pchild, int graceful);

#endif
