#include "aigw_buffer.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 1024

static apr_status_t buffer_cleanup(void *data)
{
    aigw_buffer_clear(data, 0);
    return APR_SUCCESS;
}

void aigw_buffer_init(aigw_buffer_t *b, apr_pool_t *p)
{
    memset(b, 0, sizeof *b);
    apr_pool_cleanup_register(p, b, buffer_cleanup, apr_pool_cleanup_null);
}

apr_status_t aigw_buffer_add(aigw_buffer_t *b, const void *data, apr_size_t len)
{
    apr_size_t cap = b->cap ? b->cap : FIRST_BLOCK;
    char *block;

    if (len == 0) {
        return APR_SUCCESS;
    }
    if (len > APR_SIZE_MAX / 4 - b->len) {
        return APR_ENOMEM;
    }
    while (cap < b->len + len) {
        cap *= 2;
    }
    if (cap != b->cap) {
        if (!(block = realloc(b->data, cap))) {
            return APR_ENOMEM;
        }
        b->data = block;
        b->cap = cap;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return APR_SUCCESS;
}

apr_status_t aigw_buffer_add_text(aigw_buffer_t *b, const char *text)
{
    return aigw_buffer_add(b, text, strlen(text));
}

void aigw_buffer_clear(aigw_buffer_t *b, apr_size_t keep)
{
    b->len = 0;
    if (b->cap > keep) {
        free(b->data);
        b->data = NULL;
        b->cap = 0;
    }
}

char *aigw_buffer_take(aigw_buffer_t *b, apr_size_t *len)
{
    char *data = b->len ? b->data : NULL;

    *len = b->len;
    if (data) {
        b->data = NULL;
        b->len = b->cap = 0;
    }
    return data;
}
