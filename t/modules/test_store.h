/* The store's functions, one a request, for t/cases/store.t: JSON in, JSON out. */
#ifndef AIGW_TEST_STORE_H
#define AIGW_TEST_STORE_H

#include "aigw.h"

/* body: {"op": …} and its arguments. The answer, in r->pool: {"rv": "ok"|"again"|…, …}. */
const char *test_store(request_rec *r, const aigw_core_t *core, const char *body);

#endif
