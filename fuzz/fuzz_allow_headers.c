/* aigw_allow_headers: whatever is asked for, the answer is a list of short names in lower case, each asked for, and asking for the answer gives the same answer. */
#include "fuzz.h"
#include "aigw_allow_headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size);
    const char *answer, *c;
    int names = 1;

    answer = aigw_allow_headers(p, text);
    if (answer) {
        FUZZ_MUST(*answer && !answer[strspn(answer, "abcdefghijklmnopqrstuvwxyz0123456789-, ")]);
        for (c = answer; (c = strchr(c, ',')); c++) {
            FUZZ_MUST(c[1] == ' ' && c[2] && c[2] != ',' && c[2] != ' ');
            names++;
        }
        FUZZ_MUST(names <= AIGW_ALLOW_HEADERS_MAX && strlen(answer) <= strlen(text) + (size_t)names);
        FUZZ_MUST(!strcmp(aigw_allow_headers(p, answer), answer));
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
