/* aigw_completion: what it tells of any bytes is what jansson's tree of them says: refused or not, error, usage, texts, tool calls, finish_reasons.
 * The first byte of an input says how: bit 0 a whole answer's "message" or a chunk's "delta". */
#include "fuzz.h"
#include "aigw_completion.h"

#include <jansson.h>
#include <limits.h>

#define FINISH_MAX 64

/* ---- what is told, as a hash of its order ---- */

static uint64_t hash_int(uint64_t hash, int64_t n)
{
    return fuzz_hash(hash, &n, sizeof(n));
}

static uint64_t hash_bytes(uint64_t hash, const char *s, size_t len)
{
    return s ? fuzz_hash(hash_int(hash, (int64_t)len), s, len) : hash_int(hash, -1);
}

static uint64_t hash_string(uint64_t hash, const char *s)
{
    return hash_bytes(hash, s, s ? strlen(s) : 0);
}

static void hear(void *baton, const aigw_completion_piece_t *piece)
{
    uint64_t *hash = baton;

    FUZZ_MUST(piece->kind == AIGW_COMPLETION_TEXT ? piece->data && piece->len : piece->data || !piece->len);
    FUZZ_MUST((piece->kind == AIGW_COMPLETION_FINISH) == (piece->finish_reason != NULL));
    *hash = hash_int(hash_int(*hash, piece->kind), piece->choice);
    *hash = hash_bytes(*hash, piece->data, piece->len);
    *hash = hash_int(*hash, piece->tool_index);
    *hash = hash_string(hash_string(hash_string(*hash, piece->tool_id), piece->tool_name), piece->finish_reason);
}

/* ---- the same from a tree ---- */

static int index_of(const json_t *index, size_t place)
{
    json_int_t n = json_is_integer(index) ? json_integer_value(index) : (json_int_t)place;

    return n < 0 || n > INT_MAX ? -1 : (int)n;
}

static void tell_tree(uint64_t *hash, const json_t *choices, const char *part)
{
    size_t i, k;
    json_t *choice, *tool;

    json_array_foreach(choices, i, choice)
    {
        json_t *said = json_object_get(choice, part), *content = json_object_get(said, "content");
        aigw_completion_piece_t piece = {.kind = AIGW_COMPLETION_TEXT};

        piece.choice = index_of(json_object_get(choice, "index"), i);
        piece.data = json_string_value(content);
        piece.len = json_string_length(content);
        if (piece.len) {
            hear(hash, &piece);
        }
        json_array_foreach(json_object_get(said, "tool_calls"), k, tool)
        {
            json_t *function = json_object_get(tool, "function"), *arguments = json_object_get(function, "arguments");

            piece.kind = AIGW_COMPLETION_TOOL;
            piece.tool_index = index_of(json_object_get(tool, "index"), k);
            piece.tool_id = json_string_value(json_object_get(tool, "id"));
            piece.tool_name = json_string_value(json_object_get(function, "name"));
            piece.data = json_string_value(arguments);
            piece.len = json_string_length(arguments);
            hear(hash, &piece);
        }
        piece = (aigw_completion_piece_t){.kind = AIGW_COMPLETION_FINISH, .choice = piece.choice};
        piece.finish_reason = json_string_value(json_object_get(choice, "finish_reason"));
        if (piece.finish_reason) {
            hear(hash, &piece);
        }
    }
}

static apr_int64_t count(const json_t *object, const char *name)
{
    const json_t *n = json_object_get(object, name);

    return json_is_integer(n) ? json_integer_value(n) : -1;
}

static void compare_usage(const aigw_completion_t *c, const json_t *json)
{
    const json_t *said = json_object_get(json, "usage");
    aigw_completion_usage_t usage;

    FUZZ_MUST(aigw_completion_usage(c, &usage) == json_is_object(said));
    if (json_is_object(said)) {
        FUZZ_MUST(usage.prompt_tokens == count(said, "prompt_tokens") && usage.completion_tokens == count(said, "completion_tokens") &&
                  usage.total_tokens == count(said, "total_tokens"));
        FUZZ_MUST(usage.cached_tokens == count(json_object_get(said, "prompt_tokens_details"), "cached_tokens"));
        FUZZ_MUST(usage.reasoning_tokens == count(json_object_get(said, "completion_tokens_details"), "reasoning_tokens"));
    }
}

static void compare_error(const aigw_completion_error_t *ours, const json_t *theirs)
{
    uint64_t a = FUZZ_HASH_BEGIN, b = FUZZ_HASH_BEGIN;

    a = hash_string(hash_string(hash_string(a, ours->message), ours->code), ours->param);
    b = hash_string(b, json_string_value(json_is_string(theirs) ? theirs : json_object_get(theirs, "message")));
    b = hash_string(hash_string(b, json_string_value(json_object_get(theirs, "code"))),
                    json_string_value(json_object_get(theirs, "param")));
    FUZZ_MUST(a == b);
}

static void compare_errors(const aigw_completion_t *c, const json_t *json, apr_pool_t *p)
{
    const json_t *error = json_object_get(json, "error"), *detail = json_object_get(json, "detail");
    aigw_completion_error_t said;

    FUZZ_MUST(aigw_completion_is_error(c) == (json_is_object(error) || json_is_string(error)));
    if (aigw_completion_is_error(c)) {
        aigw_completion_error(c, p, &said);
        compare_error(&said, error);
    }
    aigw_completion_failure(c->scan, p, &said);
    compare_error(&said, aigw_completion_is_error(c) ? error : json_is_object(detail) || json_is_string(detail) ? detail : json);
}

static void compare(const aigw_completion_t *c, const json_t *json, const char *part, apr_pool_t *p)
{
    const json_t *choices = json_object_get(json, "choices"), *reason = json_object_get(json_array_get(choices, 0), "finish_reason");
    const char *finish = aigw_completion_finish(c, p, FINISH_MAX);
    uint64_t ours = FUZZ_HASH_BEGIN, theirs = FUZZ_HASH_BEGIN;

    compare_errors(c, json, p);
    FUZZ_MUST((c->choices.end > 0) == (choices != NULL) && aigw_completion_has_choices(c) == (json_array_size(choices) > 0));
    compare_usage(c, json);
    FUZZ_MUST((finish != NULL) == (json_is_string(reason) && json_string_length(reason) <= FINISH_MAX));
    FUZZ_MUST(!finish || !strcmp(finish, json_string_value(reason)));
    FUZZ_MUST(aigw_completion_each(c, part, hear, &ours) == APR_SUCCESS);
    tell_tree(&theirs, choices, part);
    FUZZ_MUST(ours == theirs);
}

/* ---- the look without a scan ---- */

/* 1 if what begins at `at` is the value of a member of that name (in its quotes). */
static int is_value_of(const char *text, const char *at, const char *quoted)
{
    size_t len = strlen(quoted);

    while (at > text && strchr(" \t\r\n", at[-1])) {
        --at;
    }
    if (at == text || *--at != ':') {
        return 0;
    }
    while (at > text && strchr(" \t\r\n", at[-1])) {
        --at;
    }
    return (size_t)(at - text) >= len && memcmp(at - len, quoted, len) == 0;
}

/* It must miss nothing that is written plainly; where there are escapes it may. */
static void check_peek(const char *text, size_t size, const json_t *json)
{
    const json_t *choices = json_object_get(json, "choices"), *first = json_array_get(choices, 0);
    aigw_completion_peek_t peek;

    aigw_completion_peek(text, size, &peek);
    FUZZ_MUST(!peek.finish || (peek.finish > text && peek.finish + peek.finish_len < text + size && peek.finish[-1] == '"' &&
                               peek.finish[peek.finish_len] == '"' && is_value_of(text, peek.finish - 1, "\"finish_reason\"")));
    if (json_is_object(json) && !memchr(text, '\\', size)) {
        FUZZ_MUST(!json_is_object(json_object_get(json, "usage")) || peek.closer);
        FUZZ_MUST(!json_is_string(json_object_get(first, "finish_reason")) || peek.finish);
        FUZZ_MUST(memmem(text, size, "\"choices\"", 9) || peek.closer);
    }
}

/* ---- refused or not ---- */

/* Our limit of depth; and jansson (2.14) loses a NUL byte that it puts back after a number or a word. */
static int may_differ(const aigw_json_scan_t *scan, const char *text, size_t size)
{
    return !strcmp(scan->why, "the text is nested too deeply") || (scan->at < size && text[scan->at] == '\0');
}

static int is_container(const aigw_json_scan_t *scan)
{
    return scan->root.kind == AIGW_JSON_OBJECT || scan->root.kind == AIGW_JSON_ARRAY;
}

static void nobody(void *baton, const aigw_completion_piece_t *piece)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *part = size && (data[0] & 1) ? "delta" : "message";
    apr_pool_t *p = fuzz_pool();
    aigw_json_scan_t scan;
    aigw_completion_t c;
    json_error_t error;
    json_t *json;
    char *text;

    data += size > 0;
    size -= size > 0;
    text = fuzz_copy(data, size);
    json = json_loadb(text, size, 0, &error);
    check_peek(text, size, json);
    if (aigw_json_check(&scan, text, size) != APR_SUCCESS) {
        FUZZ_MUST(!json || may_differ(&scan, text, size));
    }
    else if (aigw_completion_read(&c, &scan) != APR_SUCCESS) {
        FUZZ_MUST(scan.root.kind != AIGW_JSON_OBJECT && (!json || json_is_array(json)));
    }
    else if (json) {
        FUZZ_MUST(is_container(&scan));
        compare(&c, json, part, p);
    }
    else { /* a number that nobody reads may be out of range */
        FUZZ_MUST(json_error_code(&error) == json_error_numeric_overflow);
        FUZZ_MUST(aigw_completion_each(&c, part, nobody, NULL) == APR_SUCCESS);
    }
    json_decref(json);
    free(text);
    apr_pool_destroy(p);
    return 0;
}
