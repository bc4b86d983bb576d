/* Driving a call in its own thread, where the connection cannot be parked: worker and prefork MPM, HTTP/2 streams, sub-requests, filters that block. */
#ifndef AIGW_BLOCKING_H
#define AIGW_BLOCKING_H

#include "aigw_call.h"

/* Runs a call that has begun until it is over. Watches the client's socket while it waits. */
void aigw_blocking_run(aigw_call_t *call);

/* The same until a time of aigw_clock_now(). 1: it is over; 0: it goes on, in whatever way the caller likes. */
int aigw_blocking_run_until(aigw_call_t *call, apr_time_t until);

#endif
