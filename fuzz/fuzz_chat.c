/* aigw_chat and aigw_chat_edit, the body of /v1/chat/completions: the reader and a judge with jansson's tree agree about what is refused, about what is read and about
 * the messages' texts, and what goes to the upstream is the client's body with the model and the wish for usage set. */
#include "fuzz.h"
#include "aigw_chat_edit.h"
#include "aigw_splice.h"

#include <jansson.h>
#include <math.h>

#define UPSTREAM_MODEL "gpt-\"up\"\xc3\xa4"

/* ---- the judge: 1 good, 0 bad, -1 a tree cannot tell (1.0 is an integer, 1.00000000000000000001 is not) ---- */

static const json_t *given(const json_t *json, const char *name)
{
    const json_t *v = json_object_get(json, name);

    return json_is_null(v) ? NULL : v;
}

static int judge_part(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    size_t len = json_string_length(json_object_get(part, "type"));

    if (!type) {
        return 0;
    }
    if (len == 4 && !memcmp(type, "text", 4)) {
        return json_is_string(json_object_get(part, "text"));
    }
    return len != 9 || memcmp(type, "image_url", 9) || json_is_string(json_object_get(json_object_get(part, "image_url"), "url"));
}

/* One of the roles, or NULL. */
static const char *role_of(const json_t *message)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    const json_t *role = json_object_get(message, "role");
    size_t i;

    for (i = 0; json_is_string(role) && i < sizeof(roles) / sizeof(*roles); ++i) {
        if (json_string_length(role) == strlen(roles[i]) && !strcmp(json_string_value(role), roles[i])) {
            return roles[i];
        }
    }
    return NULL;
}

static int judge_message(const json_t *message)
{
    const json_t *content = given(message, "content"), *calls = given(message, "tool_calls"), *part;
    const char *role = role_of(message);
    size_t i;

    if (!role || (calls && !json_is_array(calls)) || (!content && strcmp(role, "assistant"))) {
        return 0;
    }
    json_array_foreach(content, i, part)
    {
        if (!judge_part(part)) {
            return 0;
        }
    }
    return !content || json_is_string(content) || json_is_array(content);
}

static int judge_messages(const json_t *messages)
{
    const json_t *message;
    size_t i;

    json_array_foreach(messages, i, message)
    {
        if (!judge_message(message)) {
            return 0;
        }
    }
    return json_array_size(messages) > 0;
}

/* Lower case, with the two letters that fold to ASCII. */
static void fold(char *out, size_t room, const char *name)
{
    size_t n = 0;

    while (*name && n + 1 < room) {
        int s = !strncmp(name, "\xC5\xBF", 2), k = !strncmp(name, "\xE2\x84\xAA", 3);

        out[n++] = s ? 's' : k ? 'k' : *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;
        name += s ? 2 : k ? 3 : 1;
    }
    out[n] = '\0';
}

static int judge_names(json_t *json)
{
    static const char *const known[] = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"};
    const char *name;
    json_t *value;
    size_t i;

    json_object_foreach(json, name, value)
    {
        char folded[32];

        fold(folded, sizeof(folded), name);
        for (i = 0; i < sizeof(known) / sizeof(*known); ++i) {
            if (!strcmp(folded, known[i]) && strcmp(name, known[i])) {
                return 0;
            }
        }
    }
    return 1;
}

static int judge_model(const json_t *model)
{
    const char *s = json_string_value(model);
    size_t len = json_string_length(model), i;

    for (i = 0; i < len; ++i) {
        if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f) {
            return 0;
        }
    }
    return !model || (len >= 1 && len <= 256);
}

static int judge_stream(const json_t *json)
{
    const json_t *stream = given(json, "stream"), *options = given(json, "stream_options"), *usage = given(options, "include_usage");

    return (!stream || json_is_boolean(stream)) && (!options || (json_is_object(options) && json_is_true(stream))) &&
           (!usage || json_is_boolean(usage));
}

static int judge_integer(const json_t *n, double max)
{
    if (json_is_real(n)) {
        return json_real_value(n) >= 1 && json_real_value(n) <= max ? -1 : 0;
    }
    return !n || (json_is_integer(n) && json_integer_value(n) >= 1 && (double)json_integer_value(n) <= max);
}

static int judge_number(const json_t *n, double min, double max)
{
    return !n || (json_is_number(n) && json_number_value(n) >= min && json_number_value(n) <= max);
}

static int judge_array(const json_t *array, json_type of)
{
    const json_t *element;
    size_t i;

    json_array_foreach(array, i, element)
    {
        if (json_typeof(element) != of) {
            return 0;
        }
    }
    return !array || json_is_array(array);
}

static int judge(json_t *json)
{
    const json_t *stop = given(json, "stop"), *user = given(json, "user"), *format = given(json, "response_format");
    int integers[] = {judge_integer(given(json, "max_tokens"), 9.3e18), judge_integer(given(json, "max_completion_tokens"), 9.3e18),
                      judge_integer(given(json, "n"), 128)};

    if (!judge_names(json) || !judge_model(json_object_get(json, "model")) || !judge_messages(json_object_get(json, "messages")) ||
        !judge_stream(json) || !integers[0] || !integers[1] || !integers[2] || !judge_number(given(json, "temperature"), 0, 2) ||
        !judge_number(given(json, "top_p"), 0, 1) || !judge_number(given(json, "presence_penalty"), -2, 2) ||
        !judge_number(given(json, "frequency_penalty"), -2, 2) || !judge_array(given(json, "tools"), JSON_OBJECT) ||
        !(json_is_string(stop) || judge_array(stop, JSON_STRING)) || (user && !json_is_string(user)) ||
        (format && !json_is_object(format))) {
        return 0;
    }
    return integers[0] < 0 || integers[1] < 0 || integers[2] < 0 ? -1 : 1;
}

/* ---- the texts ---- */

static void hear(void *baton, const char *role, int last_user, const char *text, apr_size_t len)
{
    uint64_t *hash = baton;

    FUZZ_MUST(role && (!last_user || strcmp(role, "user") == 0));
    *hash = fuzz_hash(fuzz_hash(*hash, role, strlen(role) + 1), &last_user, sizeof(last_user));
    *hash = fuzz_hash(fuzz_hash(*hash, &len, sizeof(len)), text, len);
}

static uint64_t texts_of_tree(const json_t *messages, int last_user)
{
    uint64_t hash = FUZZ_HASH_BEGIN;
    const json_t *message, *part;
    size_t i, k;

    json_array_foreach(messages, i, message)
    {
        const json_t *content = json_object_get(message, "content");

        if (json_is_string(content)) {
            hear(&hash, role_of(message), (int)i == last_user, json_string_value(content), json_string_length(content));
        }
        json_array_foreach(content, k, part)
        {
            const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");

            if (json_string_length(type) == 4 && !strcmp(json_string_value(type), "text")) {
                hear(&hash, role_of(message), (int)i == last_user, json_string_value(text), json_string_length(text));
            }
        }
    }
    return hash;
}

static void compare(const aigw_chat_t *chat, const json_t *json, apr_pool_t *p)
{
    const json_t *model = json_object_get(json, "model"), *messages = json_object_get(json, "messages"), *n = given(json, "n"),
                 *limit = given(json, "max_completion_tokens"), *temperature = given(json, "temperature"), *message;
    uint64_t hash = FUZZ_HASH_BEGIN;
    int last_user = -1;
    size_t i;

    json_array_foreach(messages, i, message)
    {
        last_user = !strcmp(role_of(message), "user") ? (int)i : last_user;
    }
    limit = limit ? limit : given(json, "max_tokens");
    FUZZ_MUST(model ? chat->model && chat->model_member && !strcmp(chat->model, json_string_value(model)) : !chat->model);
    FUZZ_MUST((size_t)chat->nmessages == json_array_size(messages) && chat->last_user == last_user);
    FUZZ_MUST(chat->stream == json_is_true(given(json, "stream")));
    FUZZ_MUST(chat->include_usage == json_is_true(given(given(json, "stream_options"), "include_usage")));
    FUZZ_MUST((chat->stream_options != NULL) == (given(json, "stream_options") != NULL));
    FUZZ_MUST((double)chat->max_tokens == (limit ? json_number_value(limit) : -1) && chat->n == (n ? json_number_value(n) : 1));
    FUZZ_MUST(temperature ? chat->temperature == json_number_value(temperature) : isnan(chat->temperature));
    aigw_chat_each_text(chat, p, hear, &hash);
    FUZZ_MUST(hash == texts_of_tree(messages, last_user));
}

/* ---- what the upstream gets ---- */

/* How often the member stands in stream_options. */
static int times(const aigw_chat_t *chat, const char *wanted)
{
    aigw_json_span_t name, value;
    apr_size_t pos = 0;
    int n = 0;

    while (chat->stream_options && aigw_json_next(chat->scan, &chat->stream_options->value, &pos, &name, &value)) {
        n += aigw_json_string_is(chat->scan, &name, wanted);
    }
    return n;
}

static void check_edit(const aigw_chat_t *chat, const json_t *json, size_t size, apr_pool_t *p)
{
    json_t *expected = json_deep_copy(json), *got, *options = json_object_get(expected, "stream_options");
    int n, i;
    struct iovec *pieces = aigw_chat_edit(chat, UPSTREAM_MODEL, 0, p, &n);
    char *text = malloc(size + 256);
    size_t len = 0;

    if (!pieces) { /* more edits than a splice takes */
        FUZZ_MUST(times(chat, "include_usage") > AIGW_SPLICES_MAX - 1);
        json_decref(expected);
        free(text);
        return;
    }
    for (i = 0; i < n; ++i) {
        FUZZ_MUST(len + pieces[i].iov_len <= size + 256);
        memcpy(text + len, pieces[i].iov_base, pieces[i].iov_len);
        len += pieces[i].iov_len;
    }
    json_object_set_new(expected, "model", json_string(UPSTREAM_MODEL));
    if (chat->stream && json_is_object(options)) {
        json_object_set_new(options, "include_usage", json_true());
    }
    else if (chat->stream) {
        json_object_set_new(expected, "stream_options", json_pack("{s:b}", "include_usage", 1));
    }
    got = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    FUZZ_MUST(got && json_equal(expected, got));
    json_decref(got);
    json_decref(expected);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text = fuzz_copy(data, size);
    json_t *json = json_loadb(text, size, JSON_ALLOW_NUL, NULL); /* NULL also for a number out of range: then there is no judge */
    aigw_json_scan_t scan;
    aigw_chat_t chat;
    aigw_chat_fault_t fault;

    if (aigw_json_scan(&scan, p, text, size) == APR_SUCCESS) {
        int good = aigw_chat_read(&chat, &scan, p, &fault) == APR_SUCCESS, verdict = json_is_object(json) ? judge(json) : -1;

        FUZZ_MUST(verdict < 0 || good == verdict);
        FUZZ_MUST(good ? !fault.message && !fault.param
                       : fault.message && *fault.message && !fault.param == (scan.root.kind != AIGW_JSON_OBJECT));
        if (good && json) {
            compare(&chat, json, p);
            check_edit(&chat, json, size, p);
        }
    }
    json_decref(json);
    free(text);
    apr_pool_destroy(p);
    return 0;
}
