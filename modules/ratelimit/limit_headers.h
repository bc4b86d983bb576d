/* What clients are told of limits: WIRE.md section 5, three families of headers, and the refusal. */
#ifndef AIGW_LIMIT_HEADERS_H
#define AIGW_LIMIT_HEADERS_H

#include "limit_store.h"

/* Sets the headers of what was asked, on errors too. charges: of all points so far, after the store has decided. Thread: the owner of r. */
void aigw_limit_headers_set(request_rec *r, const aigw_limit_charge_t *charges, int count);

/* What clients are told of these once they will have been given back: to be called before that. */
void aigw_limit_headers_returned(aigw_limit_charge_t *charges, int count);

/* 429. refused: the one that refuses longest. In p. */
const aigw_error_t *aigw_limit_refusal(apr_pool_t *p, const aigw_limit_charge_t *charges, int count, int refused);

#endif
