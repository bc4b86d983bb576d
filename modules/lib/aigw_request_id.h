/* Request identifiers: WIRE.md section 4. Thread: any; no state. */
#ifndef AIGW_REQUEST_ID_H
#define AIGW_REQUEST_ID_H

#include <apr_pools.h>

#define AIGW_REQUEST_ID_MAX 128

/* 1 if s is 1..128 characters of [A-Za-z0-9._:-]; NULL gives 0. */
int aigw_request_id_valid(const char *s);

/* A version 4 UUID (RFC 9562) from 16 random bytes, 36 characters, in p. The bytes are an argument so that a test is repeatable. */
char *aigw_request_id_format(apr_pool_t *p, const unsigned char random[16]);

#endif
