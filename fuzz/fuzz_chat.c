/* aigw_chat: any JSON text is read or refused with a reason, and the texts of what was read are inside it. */
#include "fuzz.h"
#include "aigw_chat.h"

typedef struct heard_t {
    uint64_t bytes;
    int last_user;
} heard_t;

static void hear(void *baton, const char *role, int last_user, const char *text, apr_size_t len)
{
    heard_t *heard = baton;

    FUZZ_MUST(role && *role && (!last_user || strcmp(role, "user") == 0));
    heard->bytes += len;
    heard->last_user |= last_user;
    FUZZ_MUST(fuzz_hash(FUZZ_HASH_BEGIN, text, len) != 0 || len); /* reads every byte */
}

static void check_chat(const aigw_chat_t *chat, size_t size, apr_pool_t *p)
{
    heard_t heard = {0, 0};

    FUZZ_MUST(chat->nmessages > 0 && chat->last_user >= -1 && chat->last_user < chat->nmessages);
    FUZZ_MUST(!chat->model == !chat->model_member && (!chat->model || (*chat->model && strlen(chat->model) <= 256)));
    FUZZ_MUST(chat->max_tokens == -1 || chat->max_tokens >= 1);
    FUZZ_MUST(chat->n >= 1 && chat->n <= 128);
    FUZZ_MUST(!(chat->temperature < 0) && !(chat->temperature > 2));
    FUZZ_MUST((chat->stream == 0 || chat->stream == 1) && (!chat->include_usage || (chat->stream && chat->stream_options)));
    aigw_chat_each_text(chat, p, hear, &heard);
    FUZZ_MUST(heard.bytes < size && (!heard.last_user || chat->last_user >= 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size);
    aigw_json_scan_t scan;
    aigw_chat_t chat;
    aigw_chat_fault_t fault;

    if (aigw_json_scan(&scan, p, text, size) == APR_SUCCESS) {
        if (aigw_chat_read(&chat, &scan, p, &fault) == APR_SUCCESS) {
            FUZZ_MUST(!fault.message && !fault.param);
            check_chat(&chat, size, p);
        }
        else {
            FUZZ_MUST(fault.message && *fault.message && (!fault.param || *fault.param));
        }
    }
    free(text);
    apr_pool_destroy(p);
    return 0;
}
