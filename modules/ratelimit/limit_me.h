/* How somebody's limits stand, for /v1/me. */
#ifndef AIGW_LIMIT_ME_H
#define AIGW_LIMIT_ME_H

void aigw_limit_me_register(void);

#endif
