/* What clients are told of limits: WIRE.md section 5, three families of headers, and the refusal. */
#ifndef AIGW_LIMIT_HEADERS_H
#define AIGW_LIMIT_HEADERS_H

#include "limit_store.h"

/* Sets the headers of what was asked, on errors too. charges: of all points so far, after the store has decided. Thread: the owner of r. */
void aigw_limit_headers_set(request_rec *r, const aigw_limit_charge_t *charges, int count);

/* 429: the limit that refuses longest. In p. */
aigw_error_t *aigw_limit_refusal(apr_pool_t *p, const aigw_limit_charge_t *refused);

#endif
