/* aigw_tier_file: what is refused has a line of the file and a message that can be logged; what is accepted can be asked. */
#include "fuzz.h"
#include "aigw_names.h"
#include "aigw_tier_file.h"

static int lines_of(const uint8_t *data, size_t size)
{
    int lines = size && data[size - 1] != '\n';

    for (; size; size--, data++) {
        lines += *data == '\n';
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size), *word = malloc(size + 1);
    aigw_tier_file_t *file = NULL;
    aigw_tier_fault_t fault = {0};
    apr_status_t rv = aigw_tier_file_read(&file, text, size, p, &fault);
    const char *s, *tier;

    FUZZ_MUST(word != NULL);
    free(text); /* nothing points into it */
    if (size) {
        memcpy(word, data, size);
    }
    word[size] = '\0';
    if (rv == APR_SUCCESS) {
        FUZZ_MUST(file && !fault.message && !fault.line);
        tier = aigw_tier_file_find(file, word);
        FUZZ_MUST(!tier || aigw_names_valid(tier, strlen(tier)));
        FUZZ_MUST(aigw_tier_file_count(file) <= size);
    }
    else {
        FUZZ_MUST(rv == APR_EINVAL && !file && fault.message && fault.line >= 1 && fault.line <= lines_of(data, size));
        for (s = fault.message; *s; s++) {
            FUZZ_MUST((unsigned char)*s >= ' ' && *s != 0x7f);
        }
    }
    free(word);
    apr_pool_destroy(p);
    return 0;
}
