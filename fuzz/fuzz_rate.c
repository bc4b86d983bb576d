/* aigw_rate_parse: what is accepted is within bounds and, written and read again, the same rate. */
#include "fuzz.h"
#include "aigw_rate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size);
    aigw_rate_t rate, again;
    const char *wrong;

    memset(&rate, 0, sizeof rate);
    wrong = aigw_rate_parse(p, text, &rate);
    FUZZ_MUST(!wrong || *wrong);
    if (!wrong) {
        FUZZ_MUST(rate.amount >= 1 && rate.amount <= AIGW_BUCKET_AMOUNT_MAX && rate.burst == rate.amount);
        FUZZ_MUST(rate.window >= APR_USEC_PER_SEC && rate.window <= 31 * APR_INT64_C(86400000000));
        FUZZ_MUST(!aigw_rate_parse(p, aigw_rate_format(p, &rate), &again));
        FUZZ_MUST(again.amount == rate.amount && again.window == rate.window);
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
