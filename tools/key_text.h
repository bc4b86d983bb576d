/* The text of a key file with one line changed; every other byte is what it was. */
#ifndef AIGW_KEY_TEXT_H
#define AIGW_KEY_TEXT_H

#include "aigw_key_file.h"

typedef struct key_text_t {
    const char *bytes;
    apr_size_t len;
} key_text_t;

/* With the line after the last one, in p. A last line without its newline gets one. */
key_text_t key_text_append(const key_text_t *text, const char *line, apr_pool_t *p);

/* With the line in place of the one that has this id, in p; the line's end stays ("\n", "\r\n" or none). bytes is NULL: there is no such line. */
key_text_t key_text_replace(const key_text_t *text, const char *id, const char *line, apr_pool_t *p);

#endif
