/* aigw_chunks: any lines, taken as chunks, give nothing or one answer in JSON, whose texts are what jansson's trees of the chunks say one behind the other.
 * An input is the chunks, one a line. */
#include "fuzz.h"
#include "aigw_chunks.h"

#include <jansson.h>

#define CHOICES AIGW_CHUNKS_CHOICES
#define TEXTS   1000 /* of an input that is compared: far below what is kept */

/* The content of each choice, as it should be. */
typedef struct expected_t {
    char *text[CHOICES];
    size_t len[CHOICES];
    int odd[CHOICES]; /* it was something else than a text once: another member's business */
    int objects;      /* chunks that are objects */
    int texts;
} expected_t;

static void add_text(expected_t *e, size_t i, const json_t *said)
{
    const size_t len = json_string_length(said);

    e->odd[i] |= said && !json_is_string(said) && !json_is_null(said);
    if (json_is_string(said)) {
        e->text[i] = realloc(e->text[i], e->len[i] + len + 1);
        FUZZ_MUST(e->text[i] != NULL);
        memcpy(e->text[i] + e->len[i], json_string_value(said), len);
        e->len[i] += len;
        e->texts++;
    }
}

static void expect(expected_t *e, const json_t *chunk)
{
    json_t *choice, *part;
    const char *key;
    size_t place;

    e->objects += json_is_object(chunk);
    json_array_foreach(json_object_get(chunk, "choices"), place, choice)
    {
        const json_t *said = json_object_get(choice, "index");
        const json_int_t index = json_is_integer(said) ? json_integer_value(said) : (json_int_t)place;

        json_object_foreach(index >= 0 && index < CHOICES ? choice : NULL, key, part)
        {
            e->texts += (int)json_object_size(part); /* at most: each is one that grows */
            if (json_is_object(part) && (!strcmp(key, "delta") || !strcmp(key, "message"))) {
                add_text(e, (size_t)index, json_object_get(part, "content"));
            }
        }
    }
}

static void add(aigw_chunks_t *chunks, expected_t *e, const char *line, size_t len)
{
    char *copy = fuzz_copy(line, len);
    json_t *json = json_loadb(copy, len, JSON_ALLOW_NUL, NULL);
    const size_t choices = json_array_size(json_object_get(json, "choices"));
    int pieces = -1;
    const apr_status_t rv = aigw_chunks_add(chunks, copy, len, &pieces);

    FUZZ_MUST(rv == APR_SUCCESS || rv == APR_EINVAL);
    FUZZ_MUST(rv == APR_EINVAL || json_is_object(json));
    FUZZ_MUST(pieces >= 0 && (size_t)pieces <= 2 * choices); /* delta, and message */
    expect(e, json);
    json_decref(json);
    free(copy);
}

static void compare(const expected_t *e, const json_t *answer)
{
    const json_t *choices = json_object_get(answer, "choices");
    json_t *choice;
    size_t i;

    FUZZ_MUST(json_is_object(answer) && !strcmp(json_string_value(json_object_get(answer, "object")), "chat.completion"));
    FUZZ_MUST(!choices || (json_is_array(choices) && json_array_size(choices) <= CHOICES));
    json_array_foreach(choices, i, choice)
    {
        const json_t *message = json_object_get(choice, "message"), *content = json_object_get(message, "content");

        FUZZ_MUST(json_is_object(message) && json_integer_value(json_object_get(choice, "index")) == (json_int_t)i);
        if (!e->odd[i] && e->text[i]) {
            FUZZ_MUST(json_is_string(content) && json_string_length(content) == e->len[i] &&
                      !memcmp(json_string_value(content), e->text[i], e->len[i]));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    aigw_chunks_t *chunks = aigw_chunks_make(p);
    expected_t e = {.objects = 0};
    const uint8_t *at = data, *end = data + size, *line;
    json_t *answer;
    char *text;
    apr_size_t len = 0;
    size_t i;

    for (; at < end; at = line + 1) {
        line = memchr(at, '\n', (size_t)(end - at));
        line = line ? line : end;
        add(chunks, &e, (const char *)at, (size_t)(line - at));
    }
    text = aigw_chunks_take(chunks, &len);
    FUZZ_MUST((text != NULL) == (e.objects > 0) && (!text || strlen(text) == len));
    answer = text ? json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL) : NULL;
    FUZZ_MUST(!text || answer);
    if (answer && e.texts < TEXTS) {
        compare(&e, answer);
    }
    json_decref(answer);
    free(text);
    for (i = 0; i < CHOICES; i++) {
        free(e.text[i]);
    }
    apr_pool_destroy(p);
    return 0;
}
