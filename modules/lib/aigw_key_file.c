#include "aigw_key_file.h"
#include "aigw_rfc3339.h"

#include <apr_escape.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>

#include <string.h>

#define NAME_MAX_BYTES 256 /* of a user, tier, scope or model */

static apr_status_t wrong(aigw_key_fault_t *fault, apr_pool_t *p, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static apr_status_t wrong(aigw_key_fault_t *fault, apr_pool_t *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fault->message = apr_pvsprintf(p, fmt, args);
    va_end(args);
    return APR_EINVAL;
}

/* ------------------------------------------------------------------ one line */

/* A name goes to logs, headers and environment variables. C1 as well: U+009B begins a terminal's sequence, U+0085 a line. No iscntrl(): what
 * the file means does not depend on the locale. */
static int is_name(const json_t *value)
{
    const unsigned char *s = (const unsigned char *)json_string_value(value);
    apr_size_t i, n = json_string_length(value);

    if (!s || !n || n > NAME_MAX_BYTES || strlen((const char *)s) != n) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (s[i] < 0x20 || s[i] == 0x7f || (s[i] == 0xc2 && s[i + 1] < 0xa0)) {
            return 0;
        }
    }
    return 1;
}

static apr_status_t read_name(const char **to, const char *member, const json_t *value, apr_pool_t *p, aigw_key_fault_t *fault)
{
    if (!is_name(value)) {
        return wrong(fault, p, "\"%s\" must be a string of 1 to %d bytes without control characters.", member, NAME_MAX_BYTES);
    }
    *to = apr_pstrdup(p, json_string_value(value));
    return APR_SUCCESS;
}

static apr_status_t read_names(const apr_array_header_t **to, const char *member, const json_t *value, apr_pool_t *p,
                               aigw_key_fault_t *fault)
{
    apr_array_header_t *names;
    size_t i;

    if (!json_is_array(value)) {
        return wrong(fault, p, "\"%s\" must be an array of strings.", member);
    }
    names = apr_array_make(p, (int)json_array_size(value), sizeof(const char *));
    for (i = 0; i < json_array_size(value); i++) {
        if (read_name((const char **)apr_array_push(names), member, json_array_get(value, i), p, fault) != APR_SUCCESS) {
            return APR_EINVAL;
        }
    }
    *to = names;
    return APR_SUCCESS;
}

static apr_status_t read_digest(aigw_key_t *key, const json_t *value, apr_pool_t *p, aigw_key_fault_t *fault)
{
    const char *hex = json_string_value(value);
    apr_size_t n = 0;

    if (!hex || strlen(hex) != 2 * AIGW_SHA256 || strspn(hex, "0123456789abcdefABCDEF") != 2 * AIGW_SHA256 ||
        apr_unescape_hex(key->digest, hex, APR_ESCAPE_STRING, 0, &n) != APR_SUCCESS || n != AIGW_SHA256) {
        return wrong(fault, p, "\"sha256\" must be 64 hexadecimal digits, the SHA-256 of the key.");
    }
    return APR_SUCCESS;
}

static apr_status_t read_expires(aigw_key_t *key, const json_t *value, apr_pool_t *p, aigw_key_fault_t *fault)
{
    if (!json_is_string(value) || aigw_rfc3339_parse(json_string_value(value), &key->expires) != APR_SUCCESS) {
        return wrong(fault, p, "\"expires\" must be a date such as \"2027-01-31T00:00:00Z\".");
    }
    key->expires += !key->expires; /* 0 is "never", and who writes 1970 means the opposite */
    return APR_SUCCESS;
}

static apr_status_t read_member(aigw_key_t *key, const char *member, const json_t *value, apr_pool_t *p, aigw_key_fault_t *fault)
{
    if (!strcmp(member, "id")) {
        key->id = apr_pstrdup(p, json_string_value(value));
        return aigw_api_key_id_valid(key->id)
                   ? APR_SUCCESS
                   : wrong(fault, p, "\"id\" must be 1 to %d letters, digits, dots or dashes.", AIGW_API_KEY_ID_MAX);
    }
    if (!strcmp(member, "sha256")) {
        return read_digest(key, value, p, fault);
    }
    if (!strcmp(member, "disabled")) {
        key->disabled = json_is_true(value);
        return json_is_boolean(value) ? APR_SUCCESS : wrong(fault, p, "\"disabled\" must be true or false.");
    }
    if (json_is_null(value) && strcmp(member, "user")) {
        return APR_SUCCESS;
    }
    if (!strcmp(member, "expires")) {
        return read_expires(key, value, p, fault);
    }
    if (!strcmp(member, "scopes")) {
        return read_names(&key->scopes, member, value, p, fault);
    }
    if (!strcmp(member, "models")) {
        return read_names(&key->models, member, value, p, fault);
    }
    return read_name(!strcmp(member, "user")      ? &key->user
                     : !strcmp(member, "tier")    ? &key->tier
                     : !strcmp(member, "created") ? &key->created
                                                  : &key->note,
                     member, value, p, fault);
}

/* What may be shown of a member that is not known: not what could forge a line, stop within a character or be a key in the wrong place. */
static int is_showable(const char *member)
{
    apr_size_t n = strspn(member, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return n && n <= 32 && !member[n] && strncmp(member, "aigw_", 5);
}

static int is_known(const char *member)
{
    static const char *const members[] = {"id", "sha256", "user", "tier", "scopes", "models", "expires", "disabled", "created", "note"};
    apr_size_t i;

    for (i = 0; i < sizeof members / sizeof *members; i++) {
        if (!strcmp(member, members[i])) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t read_object(aigw_key_t *key, json_t *object, apr_pool_t *p, aigw_key_fault_t *fault)
{
    const char *member;
    json_t *value;

    json_object_foreach(object, member, value)
    {
        if (!is_known(member)) {
            return wrong(fault, p,
                         "%s%s%s is not known. Known are id, sha256, user, tier, scopes, models, expires, disabled, created and note.",
                         is_showable(member) ? "\"" : "", is_showable(member) ? member : "A member", is_showable(member) ? "\"" : "");
        }
        if (read_member(key, member, value, p, fault) != APR_SUCCESS) {
            return APR_EINVAL;
        }
    }
    if (!key->id || !key->user || !json_object_get(object, "sha256")) {
        return wrong(fault, p, "\"%s\" is missing.", !key->id ? "id" : !key->user ? "user" : "sha256");
    }
    return APR_SUCCESS;
}

apr_status_t aigw_key_line_read(aigw_key_t *key, const char *line, apr_size_t len, apr_pool_t *p, aigw_key_fault_t *fault)
{
    json_error_t error;
    json_t *object;
    apr_status_t rv;

    memset(key, 0, sizeof *key);
    if (len > AIGW_KEY_LINE_MAX) {
        return wrong(fault, p, "The line is longer than %d bytes.", AIGW_KEY_LINE_MAX);
    }
    object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        return wrong(fault, p, "This is not a JSON object on one line, or it has a member twice (column %d).", error.column);
    }
    if (!json_is_object(object)) {
        json_decref(object);
        return wrong(fault, p, "This is JSON, but not an object.");
    }
    rv = read_object(key, object, p, fault);
    json_decref(object);
    return rv;
}

static int add_names(json_t *object, const char *member, const apr_array_header_t *names)
{
    json_t *array;
    int i;

    if (!names) {
        return 0;
    }
    array = json_array();
    for (i = 0; i < names->nelts; i++) {
        if (json_array_append_new(array, json_string(APR_ARRAY_IDX(names, i, const char *)))) {
            json_decref(array);
            return -1;
        }
    }
    return json_object_set_new(object, member, array);
}

static int add_name(json_t *object, const char *member, const char *name)
{
    return name ? json_object_set_new(object, member, json_string(name)) : 0;
}

char *aigw_key_line_write(apr_pool_t *p, const aigw_key_t *key)
{
    json_t *object = json_object();
    aigw_key_t again;
    aigw_key_fault_t fault;
    char *text, *line = NULL;

    if (!add_name(object, "id", key->id) && !add_name(object, "sha256", apr_pescape_hex(p, key->digest, AIGW_SHA256, 0)) &&
        !add_name(object, "user", key->user) && !add_name(object, "tier", key->tier) && !add_names(object, "scopes", key->scopes) &&
        !add_names(object, "models", key->models) &&
        !add_name(object, "expires", key->expires ? aigw_rfc3339_format(p, key->expires) : NULL) &&
        !(key->disabled && json_object_set_new(object, "disabled", json_true())) && !add_name(object, "created", key->created) &&
        !add_name(object, "note", key->note)) {
        text = json_dumps(object, JSON_COMPACT);
        line = text ? apr_pstrdup(p, text) : NULL;
        free(text);
    }
    json_decref(object);
    return line && aigw_key_line_read(&again, line, strlen(line), p, &fault) == APR_SUCCESS ? line : NULL;
}

/* ------------------------------------------------------------------ all lines */

static int is_comment(const char *line, apr_size_t len)
{
    while (len && (*line == ' ' || *line == '\t' || *line == '\r')) {
        line++;
        len--;
    }
    return !len || *line == '#';
}

/* A digest is as good a hash as there is. */
static apr_uint32_t *slot_of(const aigw_key_file_t *file, const unsigned char digest[AIGW_SHA256])
{
    apr_uint32_t i;

    memcpy(&i, digest, sizeof i);
    for (i &= file->mask; file->slots[i] && CRYPTO_memcmp(file->keys[file->slots[i] - 1]->digest, digest, AIGW_SHA256);
         i = (i + 1) & file->mask) {
    }
    return &file->slots[i];
}

static apr_status_t index_keys(aigw_key_file_t *file, const apr_array_header_t *keys, const int *lines, apr_pool_t *p,
                               aigw_key_fault_t *fault)
{
    apr_uint32_t size = 16, i;

    while (size < 2 * (apr_uint32_t)keys->nelts) {
        size *= 2;
    }
    file->mask = size - 1;
    file->ids = apr_hash_make(p);
    file->slots = apr_pcalloc(p, size * sizeof *file->slots);
    file->keys = (const aigw_key_t **)keys->elts;
    for (i = 0; i < (apr_uint32_t)keys->nelts; i++) {
        const aigw_key_t *key = file->keys[i];
        apr_uint32_t *slot = slot_of(file, key->digest);

        fault->line = lines[i];
        if (apr_hash_get(file->ids, key->id, APR_HASH_KEY_STRING)) {
            return wrong(fault, p, "The id \"%s\" is there twice.", key->id);
        }
        if (*slot) {
            return wrong(fault, p, "The keys \"%s\" and \"%s\" have the same sha256.", file->keys[*slot - 1]->id, key->id);
        }
        apr_hash_set(file->ids, key->id, APR_HASH_KEY_STRING, key);
        *slot = i + 1;
    }
    file->n = (apr_size_t)keys->nelts;
    fault->line = 0;
    return APR_SUCCESS;
}

apr_status_t aigw_key_file_read(aigw_key_file_t **out, const char *text, apr_size_t len, apr_pool_t *p, aigw_key_fault_t *fault)
{
    apr_array_header_t *keys = apr_array_make(p, 64, sizeof(const aigw_key_t *)), *lines = apr_array_make(p, 64, sizeof(int));
    apr_size_t at, n;
    aigw_key_file_t *file = apr_pcalloc(p, sizeof *file);

    *out = NULL;
    fault->message = NULL;
    for (at = 0, fault->line = 1; at < len; at += n + 1, fault->line++) {
        const char *line = text + at, *eol = memchr(line, '\n', len - at);
        aigw_key_t *key;

        n = eol ? (apr_size_t)(eol - line) : len - at;
        if (is_comment(line, n)) {
            continue;
        }
        key = apr_palloc(p, sizeof *key);
        if (aigw_key_line_read(key, line, n, p, fault) != APR_SUCCESS) {
            return APR_EINVAL;
        }
        APR_ARRAY_PUSH(keys, const aigw_key_t *) = key;
        APR_ARRAY_PUSH(lines, int) = fault->line;
    }
    if (index_keys(file, keys, (const int *)lines->elts, p, fault) != APR_SUCCESS) {
        return APR_EINVAL;
    }
    *out = file;
    return APR_SUCCESS;
}

const aigw_key_t *aigw_key_file_find(const aigw_key_file_t *file, const unsigned char digest[AIGW_SHA256])
{
    apr_uint32_t slot = *slot_of(file, digest);

    return slot ? file->keys[slot - 1] : NULL;
}

const aigw_key_t *aigw_key_file_named(const aigw_key_file_t *file, const char *id)
{
    return apr_hash_get(file->ids, id, APR_HASH_KEY_STRING);
}
