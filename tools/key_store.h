/* The key file on disk. A change is prepared in a file beside it (FILE.new), which then takes its place in one step: whoever reads sees the old file or the new
 * one, and a full disk or a power cut leaves the old one. FILE.lock keeps two aigw-key apart; it stays, because a lock whose file may go protects nothing.
 *
 * Every function that returns an int says what went wrong (key_say.h) and returns KEY_OK or KEY_FAILED.
 */
#ifndef AIGW_KEY_STORE_H
#define AIGW_KEY_STORE_H

#include "key_text.h"

#include <sys/stat.h>

typedef enum {
    KEY_STORE_LOOK,   /* without the lock */
    KEY_STORE_CHANGE, /* locked; the file is there */
    KEY_STORE_MAKE    /* locked; without a file it begins empty */
} key_store_how_e;

typedef struct key_store_t {
    apr_pool_t *p;
    const char *name;   /* as it was given: for messages */
    const char *path;   /* what is replaced: the name with its symbolic links followed */
    const char *staged; /* the file that waits to take its place; NULL: none */
    int lock;           /* descriptor; -1: none */
    int is_new;         /* there was no file */
    struct stat was;    /* of the file that was read */
    key_text_t text;
    aigw_key_file_t *file;
} key_store_t;

/* Locks (see how) and reads; a file with a mistake in it is refused. Call key_store_close() whatever it returns. */
int key_store_open(key_store_t *store, const char *name, key_store_how_e how, apr_pool_t *p);

/* The key of this id; NULL: there is none. */
const aigw_key_t *key_store_find(const key_store_t *store, const char *id);

/* Prepares the file with a key added, or with the key of the same id replaced: on disk, but not yet in place. */
int key_store_append(key_store_t *store, const aigw_key_t *key);
int key_store_replace(key_store_t *store, const aigw_key_t *key);

/* Puts what is prepared in place. */
int key_store_commit(key_store_t *store);

/* Throws away what is prepared and not in place, and unlocks. */
void key_store_close(key_store_t *store);

#endif
