/* aigw_key_file: what is accepted is found by its digest and, written and read again, is the same; what is refused has a line and a
 * message without control characters. */
#include "fuzz.h"
#include "aigw_key_file.h"

#include <apr_strings.h>

static int lines_of(const uint8_t *data, size_t size)
{
    int lines = size && data[size - 1] != '\n';

    for (; size; size--, data++) {
        lines += *data == '\n';
    }
    return lines;
}

static void check_fault(const aigw_key_fault_t *fault, int lines)
{
    const char *s;

    FUZZ_MUST(fault->line >= 1 && fault->line <= lines);
    FUZZ_MUST(fault->message != NULL && *fault->message);
    for (s = fault->message; *s; s++) {
        FUZZ_MUST(*s >= ' ' && *s < 0x7f);
    }
}

static void same_name(const char *a, const char *b)
{
    FUZZ_MUST(a && b ? strcmp(a, b) == 0 : a == b);
}

static void same_names(const apr_array_header_t *a, const apr_array_header_t *b)
{
    int i;

    FUZZ_MUST(a && b ? a->nelts == b->nelts : a == b);
    for (i = 0; a && i < a->nelts; i++) {
        FUZZ_MUST(APR_ARRAY_IDX(a, i, const char *) && *APR_ARRAY_IDX(a, i, const char *));
        same_name(APR_ARRAY_IDX(a, i, const char *), APR_ARRAY_IDX(b, i, const char *));
    }
}

static void same_key(const aigw_key_t *a, const aigw_key_t *b)
{
    FUZZ_MUST(aigw_api_key_id_valid(a->id) && a->user && *a->user);
    same_name(a->id, b->id);
    same_name(a->user, b->user);
    same_name(a->tier, b->tier);
    same_names(a->scopes, b->scopes);
    same_names(a->models, b->models);
    same_name(a->created, b->created);
    same_name(a->note, b->note);
    FUZZ_MUST(a->expires >= 0 && apr_time_sec(a->expires) == apr_time_sec(b->expires) && !a->expires == !b->expires);
    FUZZ_MUST(a->disabled == b->disabled);
    FUZZ_MUST(memcmp(a->digest, b->digest, AIGW_SHA256) == 0);
}

static void check_file(const aigw_key_file_t *file, apr_pool_t *p)
{
    apr_array_header_t *lines = apr_array_make(p, 16, sizeof(char *));
    aigw_key_file_t *again = NULL;
    aigw_key_fault_t fault = {0};
    unsigned char other[AIGW_SHA256];
    const char *text;
    size_t i, j;

    for (i = 0; i < file->n; i++) {
        const aigw_key_t *key = file->keys[i];

        FUZZ_MUST(aigw_key_file_find(file, key->digest) == key);
        memcpy(other, key->digest, AIGW_SHA256);
        other[AIGW_SHA256 - 1] ^= 1;
        for (j = 0; j < file->n && memcmp(file->keys[j]->digest, other, AIGW_SHA256) != 0; j++) {
        }
        FUZZ_MUST(aigw_key_file_find(file, other) == (j < file->n ? file->keys[j] : NULL));
        APR_ARRAY_PUSH(lines, char *) = aigw_key_line_write(p, key);
        FUZZ_MUST(APR_ARRAY_IDX(lines, i, char *) != NULL);
    }
    text = apr_array_pstrcat(p, lines, '\n');
    FUZZ_MUST(aigw_key_file_read(&again, text, strlen(text), p, &fault) == APR_SUCCESS && again->n == file->n);
    for (i = 0; i < file->n; i++) {
        same_key(file->keys[i], again->keys[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size);
    aigw_key_file_t *file = NULL;
    aigw_key_fault_t fault = {0};
    apr_status_t rv = aigw_key_file_read(&file, text, size, p, &fault);

    free(text); /* nothing points into it */
    if (rv == APR_SUCCESS) {
        FUZZ_MUST(file != NULL && !fault.message && !fault.line && file->n <= (size_t)lines_of(data, size));
        check_file(file, p);
    }
    else {
        FUZZ_MUST(rv == APR_EINVAL && !file);
        check_fault(&fault, lines_of(data, size));
    }
    apr_pool_destroy(p);
    return 0;
}
