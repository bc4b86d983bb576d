/* aigw_estimate: of a body that is a chat request no more bytes are counted than there are, and every message once; the number stays in its bounds. */
#include "fuzz.h"
#include "aigw_estimate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size);
    aigw_estimate_t e = {0, 0, 0, 0}, tree = {0, 0, 0, 0};
    aigw_json_scan_t scan;
    aigw_chat_t chat;
    aigw_chat_fault_t fault;
    apr_int64_t tokens;

    if (aigw_json_scan(&scan, p, text, size) == APR_SUCCESS && aigw_chat_read(&chat, &scan, p, &fault) == APR_SUCCESS) {
        json_t *json = json_loadb(text, size, JSON_ALLOW_NUL, NULL);

        aigw_estimate_chat(&e, &chat);
        FUZZ_MUST(e.ascii >= 0 && e.other >= 0 && (size_t)(e.ascii + e.other) <= size);
        FUZZ_MUST(e.messages == chat.nmessages && e.images >= 0);
        tokens = aigw_estimate_tokens(&e, 0, 0);
        FUZZ_MUST(tokens >= 7 && tokens <= (apr_int64_t)size + 4 * e.messages + 3 + e.images * AIGW_ESTIMATE_IMAGE);
        aigw_estimate_messages(&tree, json_object_get(json, "messages"));
        FUZZ_MUST(!json || tree.messages == e.messages);
        json_decref(json);
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
