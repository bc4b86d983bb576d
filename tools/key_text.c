#include "key_text.h"

#include <string.h>

/* before, line and after, one behind the other */
static key_text_t join(const key_text_t *before, const char *line, const key_text_t *after, apr_pool_t *p)
{
    apr_size_t n = strlen(line);
    key_text_t all = {NULL, before->len + n + after->len};
    char *to = apr_palloc(p, all.len + 1);

    all.bytes = to;
    memcpy(to, before->bytes, before->len);
    memcpy(to + before->len, line, n);
    memcpy(to + before->len + n, after->bytes, after->len);
    to[all.len] = '\0';
    return all;
}

key_text_t key_text_append(const key_text_t *text, const char *line, apr_pool_t *p)
{
    static const key_text_t newline = {"\n", 1};
    key_text_t whole = *text;

    if (whole.len && whole.bytes[whole.len - 1] != '\n') {
        whole = join(&whole, "", &newline, p);
    }
    return join(&whole, line, &newline, p);
}

/* A comment is not a key: aigw_key_line_read() refuses it. */
static int has_id(const char *line, apr_size_t len, const char *id, apr_pool_t *p)
{
    aigw_key_fault_t fault;
    aigw_key_t key;

    return aigw_key_line_read(&key, line, len, p, &fault) == APR_SUCCESS && !strcmp(key.id, id);
}

key_text_t key_text_replace(const key_text_t *text, const char *id, const char *line, apr_pool_t *p)
{
    const char *start = text->bytes, *end = start + text->len, *eol;
    key_text_t none = {NULL, 0};
    apr_pool_t *scratch;

    apr_pool_create(&scratch, p);
    for (; start < end; start = eol + 1) {
        eol = memchr(start, '\n', (size_t)(end - start));
        eol = eol ? eol : end;
        if (has_id(start, (apr_size_t)(eol - start), id, scratch)) {
            const char *rest = eol > start && eol[-1] == '\r' ? eol - 1 : eol;
            key_text_t before = {text->bytes, (apr_size_t)(start - text->bytes)}, after = {rest, (apr_size_t)(end - rest)};

            apr_pool_destroy(scratch);
            return join(&before, line, &after, p);
        }
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    return none;
}
