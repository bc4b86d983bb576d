/* aigw_text: of any bytes there is a JSON string, the very bytes where they are UTF-8; what is shown of them is short, UTF-8 and without control characters.
 * The first byte of an input is how many characters may be shown. */
#include "fuzz.h"
#include "aigw_text.h"

static void check_json(const char *s, size_t size)
{
    json_t *json = aigw_text_json(s, size), *as_is = json_stringn(s, size);
    const char *text = json_string_value(json);
    size_t len = json_string_length(json);
    char *dump = json_dumps(json, JSON_ENCODE_ANY);
    json_t *again = dump ? json_loads(dump, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;

    FUZZ_MUST(json && again && json_equal(json, again));
    FUZZ_MUST(!as_is || json_equal(json, as_is));
    FUZZ_MUST(len <= size * 3 && aigw_text_length(text, len) == aigw_text_length(s, size) && aigw_text_length(s, size) <= size);
    FUZZ_MUST(!aigw_text_blank(s, size) || as_is); /* what is no character is no space */
    json_decref(json);
    json_decref(as_is);
    json_decref(again);
    free(dump);
}

static void check_shown(const char *s, size_t max, apr_pool_t *p)
{
    char *shown = aigw_text_shown(p, s, max);
    json_t *json = json_string(shown);
    size_t i;

    FUZZ_MUST(json != NULL && aigw_text_length(shown, strlen(shown)) <= max + 3);
    for (i = 0; shown[i]; ++i) {
        FUZZ_MUST((uint8_t)shown[i] >= 0x20 && shown[i] != 0x7F);
    }
    FUZZ_MUST(!strstr(shown, "\xe2\x80\xae") && !strstr(shown, "\xc2\x85")); /* right-to-left override, a C1 control */
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    char *text;

    if (size) {
        text = fuzz_copy(data + 1, size - 1);
        check_json(text, size - 1);
        free(text);
        text = malloc(size);
        FUZZ_MUST(text != NULL);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        check_shown(text, data[0], p);
        free(text);
    }
    apr_pool_destroy(p);
    return 0;
}
