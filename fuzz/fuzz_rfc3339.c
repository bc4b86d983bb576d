/* aigw_rfc3339: what is accepted lies in the years 1970 to 9999 and, written and read again, is the same second. */
#include "fuzz.h"
#include "aigw_rfc3339.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size), *written;
    apr_time_t t = -1, again = -1;
    apr_status_t rv;

    rv = aigw_rfc3339_parse(text, &t);
    FUZZ_MUST(rv == APR_SUCCESS || rv == APR_EINVAL);
    if (rv == APR_SUCCESS) {
        FUZZ_MUST(t >= 0 && apr_time_sec(t) <= 253402300799);
        written = aigw_rfc3339_format(p, t);
        FUZZ_MUST(strlen(written) == 20);
        FUZZ_MUST(aigw_rfc3339_parse(written, &again) == APR_SUCCESS && again == t - apr_time_usec(t));
        FUZZ_MUST(strcmp(aigw_rfc3339_format(p, again), written) == 0);
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
