/* aigw_splice: members that are set give the text of the tree in which jansson has set them, and bytes that are replaced give what replacing them one by one gives.
 * An input is a length n (one byte), n bytes that say what to do, and the text. */
#include "fuzz.h"
#include "aigw_splice.h"

#include <jansson.h>

static char *put_together(const aigw_splice_t *splice, apr_pool_t *p, apr_size_t *total)
{
    int n, i;
    struct iovec *pieces = aigw_splice_pieces(splice, p, &n, total);
    char *text = malloc(*total + 1), *at = text;

    FUZZ_MUST(text != NULL && n <= 2 * AIGW_SPLICES_MAX + 1);
    for (i = 0; i < n; ++i) {
        FUZZ_MUST(pieces[i].iov_len > 0);
        memcpy(at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    FUZZ_MUST((apr_size_t)(at - text) == *total);
    return text;
}

/* ---- members ---- */

/* A place in the text, in its tree, and in the tree that is edited (NULL where an edit has put something else there). */
typedef struct place_t {
    aigw_json_span_t span;
    const json_t *was;
    json_t *is;
} place_t;

/* Goes to child k. Stays where there is none, or where a name stands twice, so that the tree shows only one of the two. */
static void go_down(const aigw_json_scan_t *scan, place_t *place, unsigned k, apr_pool_t *p)
{
    aigw_json_span_t name, value, found = {AIGW_JSON_NULL, 0, 0};
    const char *key = NULL;
    apr_size_t pos = 0, n = 0;

    while (aigw_json_next(scan, &place->span, &pos, &name, &value)) {
        if (n++ == k) {
            found = value;
            key = json_is_object(place->was) ? aigw_json_string(scan, &name, p, 0, NULL) : NULL;
        }
    }
    if (!found.end || (key && json_object_size(place->was) != n)) {
        return;
    }
    place->span = found;
    place->was = key ? json_object_get(place->was, key) : json_array_get(place->was, k);
    place->is = key ? json_object_get(place->is, key) : json_array_get(place->is, k);
}

/* One edit of the text, and if it is taken of the tree. `how` says on what path, which name and which value. */
static void set_member(aigw_splice_t *splice, const aigw_json_scan_t *scan, const json_t *original, json_t *edited, unsigned how,
                       apr_pool_t *p)
{
    static const char *const names[] = {"a", "model", "include_usage", ""};
    static const char *const values[] = {"true", "{\"include_usage\":true}", "\"x\\\"\"", "[1,2]"};
    const char *name = names[how >> 6 & 3], *value = values[how >> 8 & 3];
    place_t place = {scan->root, original, edited};

    if (how & 16) {
        go_down(scan, &place, how & 3, p);
    }
    if (how & 32) {
        go_down(scan, &place, how >> 2 & 3, p);
    }
    if (aigw_splice_set(splice, &place.span, name, value) == APR_SUCCESS) {
        FUZZ_MUST(json_object_set_new(place.is, name, json_loads(value, JSON_DECODE_ANY, NULL)) == 0);
    }
}

static void check_members(const aigw_json_scan_t *scan, const json_t *json, const uint8_t *how, size_t n, apr_pool_t *p)
{
    aigw_splice_t *splice = aigw_splice_make(p, scan);
    json_t *edited = json_deep_copy(json), *got;
    apr_size_t len;
    char *text;
    size_t i;

    FUZZ_MUST(edited != NULL);
    for (i = 0; i + 1 < n; i += 2) {
        set_member(splice, scan, json, edited, how[i] | (unsigned)how[i + 1] << 8, p);
    }
    text = put_together(splice, p, &len);
    got = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    FUZZ_MUST(got && json_equal(edited, got));
    json_decref(got);
    json_decref(edited);
    free(text);
}

/* ---- bytes ---- */

typedef struct edit_t {
    apr_size_t start, end;
    char insert[2];
    apr_size_t len;
} edit_t;

/* Byte by byte: what is inserted here in the order in which it was, then what replaces the bytes from here on. */
static size_t replace_one_by_one(char *out, const char *text, size_t size, const edit_t *edits, int n)
{
    size_t at, used = 0;
    int i;

    for (at = 0; at <= size; ++at) {
        size_t next = at;

        for (i = 0; i < n; ++i) {
            if (edits[i].start == at && edits[i].end == at) {
                memcpy(out + used, edits[i].insert, edits[i].len);
                used += edits[i].len;
            }
        }
        for (i = 0; i < n; ++i) {
            if (edits[i].start == at && edits[i].end > at) {
                memcpy(out + used, edits[i].insert, edits[i].len);
                used += edits[i].len;
                next = edits[i].end;
            }
        }
        if (next > at) {
            at = next - 1;
        }
        else if (at < size) {
            out[used++] = text[at];
        }
    }
    return used;
}

static void check_bytes(const char *text, size_t size, const uint8_t *how, size_t n, apr_pool_t *p)
{
    aigw_json_scan_t scan = {.text = text, .len = size};
    aigw_splice_t *splice = aigw_splice_make(p, &scan);
    edit_t edits[AIGW_SPLICES_MAX];
    char *ours, *theirs = malloc(size + 2 * AIGW_SPLICES_MAX + 1);
    apr_size_t len;
    size_t i, used;
    int taken = 0;

    for (i = 0; i + 2 < n; i += 3) {
        edit_t e = {how[i], (apr_size_t)how[i] + how[i + 1] % 8, {'<', '>'}, how[i + 2] % 3};

        e.insert[0] = (char)how[i + 2];
        if (aigw_splice_replace(splice, e.start, e.end, e.insert, e.len) == APR_SUCCESS) {
            FUZZ_MUST(taken < AIGW_SPLICES_MAX && e.end <= size);
            edits[taken++] = e;
        }
    }
    ours = put_together(splice, p, &len);
    used = replace_one_by_one(theirs, text, size, edits, taken);
    FUZZ_MUST(used == len && memcmp(ours, theirs, len) == 0);
    free(theirs);
    free(ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size ? data[0] % 25 : 0;
    apr_pool_t *p;
    aigw_json_scan_t scan;
    json_t *json;
    char *text;

    if (size < n + 1) {
        return 0;
    }
    p = fuzz_pool();
    text = fuzz_copy(data + n + 1, size - n - 1);
    json = json_loadb(text, size - n - 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (json && aigw_json_scan(&scan, p, text, size - n - 1) == APR_SUCCESS) {
        check_members(&scan, json, data + 1, n, p);
    }
    check_bytes(text, size - n - 1, data + 1, n, p);
    json_decref(json);
    free(text);
    apr_pool_destroy(p);
    return 0;
}
