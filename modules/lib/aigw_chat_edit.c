/* A client's request on its way to an upstream; see aigw_chat_edit.h. */
#include "aigw_chat_edit.h"
#include "aigw_splice.h"

#include <apr_strings.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* s as a JSON string, NULL if it cannot be one. */
static const char *quote(apr_pool_t *p, const char *s)
{
    json_t *j = json_string(s);
    char *dump = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    const char *out = dump ? apr_pstrdup(p, dump) : NULL;

    free(dump);
    json_decref(j);
    return out;
}

static apr_status_t set_model(aigw_splice_t *splice, const aigw_chat_t *chat, const char *model, apr_pool_t *p)
{
    const char *quoted;

    if (chat->model && !strcmp(chat->model, model)) {
        return APR_SUCCESS;
    }
    quoted = quote(p, model);
    return quoted ? aigw_splice_set(splice, &chat->scan->root, "model", quoted) : APR_EINVAL;
}

static apr_status_t ask_stream(aigw_splice_t *splice, const aigw_chat_t *chat, int stream)
{
    return stream && !chat->stream ? aigw_splice_set(splice, &chat->scan->root, "stream", "true") : APR_SUCCESS;
}

static apr_status_t ask_usage(aigw_splice_t *splice, const aigw_chat_t *chat, int stream)
{
    if (!(stream || chat->stream) || chat->include_usage) {
        return APR_SUCCESS;
    }
    return chat->stream_options ? aigw_splice_set(splice, &chat->stream_options->value, "include_usage", "true")
                                : aigw_splice_set(splice, &chat->scan->root, "stream_options", "{\"include_usage\":true}");
}

struct iovec *aigw_chat_edit(const aigw_chat_t *chat, const char *model, int stream, apr_pool_t *p, int *n)
{
    aigw_splice_t *splice = aigw_splice_make(p, chat->scan);

    if (set_model(splice, chat, model, p) != APR_SUCCESS || ask_stream(splice, chat, stream) != APR_SUCCESS ||
        ask_usage(splice, chat, stream) != APR_SUCCESS) {
        return NULL;
    }
    return aigw_splice_pieces(splice, p, n, NULL);
}
