/* aigw_request_id: what is valid is what WIRE.md allows, and what we make is valid. */
#include "fuzz.h"
#include "aigw_request_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_text(data, size);
    size_t len;

    len = strlen(text);
    FUZZ_MUST(aigw_request_id_valid(text) == (len >= 1 && len <= AIGW_REQUEST_ID_MAX && strspn(text, allowed) == len));
    if (size >= 16) {
        char *id = aigw_request_id_format(p, data);

        FUZZ_MUST(strlen(id) == 36 && aigw_request_id_valid(id) && id[14] == '4' && strchr("89ab", id[19]));
        FUZZ_MUST(strspn(id, "0123456789abcdef-") == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
