/* The arguments of aigw-key. */
#ifndef AIGW_KEY_ARGS_H
#define AIGW_KEY_ARGS_H

#include "aigw_key_file.h"

typedef enum { KEY_CREATE, KEY_LIST, KEY_DISABLE, KEY_ENABLE, KEY_ROTATE, KEY_HELP, KEY_VERSION } key_command_e;

typedef struct key_args_t {
    key_command_e command;
    const char *file;
    int json;
    aigw_key_t key; /* create: all that was given, id may be NULL; disable, enable, rotate: its id */
} key_args_t;

/* KEY_OK, or KEY_MISUSE, which it has said. Whoever mistakes a key for its id does not find it in a message. now: what "90d" counts from. */
int key_args_read(key_args_t *args, int argc, char *const *argv, apr_time_t now, apr_pool_t *p);

#endif
