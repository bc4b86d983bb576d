/* The park: a client connection taken off its worker while its answer is open (event MPM, AP_MPMQ_CAN_WAITIO). docs/architecture.md, "Parking".
 *
 * The MPM is left polling an eventfd of ours instead of the client; the core output filter writes to the client through a second apr_socket_t. The reactor writes
 * the eventfd when the call is over, and the MPM then runs our process_connection hook on a worker, which puts everything back and finishes the request.
 */
#ifndef AIGW_PARK_H
#define AIGW_PARK_H

#include <httpd.h>
#include "aigw_call.h"

/* Parks the connection of r for a call that has begun. 1: the handler must return SUSPENDED and not touch r or the call again. 0: this request must run blocking. */
int aigw_park(request_rec *r, aigw_call_t *call);

/* After the configuration is read: can this MPM park at all? */
int aigw_park_supported(void);
void aigw_park_query_mpm(void);

void aigw_park_register(apr_pool_t *p);

#endif
