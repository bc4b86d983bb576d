/* Somebody who was let in before: is he still to be served? For work that outlives its request (aigw_identity.h). */
#ifndef AIGW_AUTH_RECHECK_H
#define AIGW_AUTH_RECHECK_H

void aigw_recheck_register(void);

#endif
