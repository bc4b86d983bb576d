/* What every fuzz target has in common. A target defines LLVMFuzzerTestOneInput; libFuzzer or replay.c calls it. */
#ifndef AIGW_FUZZ_H
#define AIGW_FUZZ_H

#include <apr_general.h>
#include <apr_pools.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding: the fuzzer keeps the input of a process that aborts. */
#define FUZZ_MUST(condition)                                                                                                               \
    do {                                                                                                                                   \
        if (!(condition)) {                                                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                                  \
            abort();                                                                                                                       \
        }                                                                                                                                  \
    } while (0)

/* A pool for one input. APR is never terminated: the process ends with the fuzzer. */
static inline apr_pool_t *fuzz_pool(void)
{
    static int ready;
    apr_pool_t *p = NULL;

    if (!ready) {
        FUZZ_MUST(apr_initialize() == APR_SUCCESS);
        ready = 1;
    }
    FUZZ_MUST(apr_pool_create(&p, NULL) == APR_SUCCESS);
    return p;
}

/* A heap block of exactly these bytes, so that the sanitizer sees a read beyond them. The caller frees it. */
static inline char *fuzz_copy(const void *data, size_t size)
{
    char *copy = malloc(size ? size : 1);

    FUZZ_MUST(copy != NULL);
    if (size) {
        memcpy(copy, data, size);
    }
    return copy;
}

/* The same with a NUL behind them. The caller frees it. */
static inline char *fuzz_text(const void *data, size_t size)
{
    char *text = malloc(size + 1);

    FUZZ_MUST(text != NULL);
    if (size) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

/* FNV-1a, to compare what two ways of feeding found. */
#define FUZZ_HASH_BEGIN 14695981039346656037ULL
static inline uint64_t fuzz_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t i;

    for (i = 0; i < size; ++i) {
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    }
    return hash;
}

#endif
