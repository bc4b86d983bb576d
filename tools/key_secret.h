/* A new key: made, printed once, wiped. */
#ifndef AIGW_KEY_SECRET_H
#define AIGW_KEY_SECRET_H

#include "aigw_api_key.h"

typedef struct key_secret_t {
    char *text; /* in the pool; len bytes and one more */
    apr_size_t len;
} key_secret_t;

/* A new secret for this id and the digest to keep of it. KEY_OK or KEY_FAILED, which it has said. */
int key_secret_make(key_secret_t *secret, unsigned char digest[AIGW_SHA256], const char *id, apr_pool_t *p);

/* The key and a newline on stdout, past stdio: its buffer would keep a copy. KEY_OK: the system has taken all of it; or KEY_FAILED, which it has said. */
int key_secret_print(const key_secret_t *secret);

/* May be called twice. */
void key_secret_wipe(key_secret_t *secret);

/* 8 random characters of a-z and 2-7, in p; NULL: failed, and said so. */
char *key_id_random(apr_pool_t *p);

#endif
