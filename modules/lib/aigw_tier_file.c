#include "aigw_tier_file.h"
#include "aigw_names.h"
#include "aigw_text.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include <string.h>

#define SHOWN_NAME 100

struct aigw_tier_file_t {
    apr_hash_t *tiers; /* user → tier */
};

typedef struct reader_t {
    aigw_tier_file_t *file;
    apr_pool_t *pool;
    aigw_tier_fault_t *fault;
} reader_t;

static apr_status_t wrong(reader_t *reader, const char *message)
{
    reader->fault->message = message;
    return APR_EINVAL;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *s, const char *end)
{
    while (s < end && is_blank(*s)) {
        s++;
    }
    return s;
}

/* One word at s into out, which has room for end - s bytes. Returns what follows; NULL: the closing quote is missing, or something stands right behind it. */
static const char *read_word(const char *s, const char *end, char *out, apr_size_t *len)
{
    char *to = out;

    if (*s != '"') {
        while (s < end && !is_blank(*s)) {
            *to++ = *s++;
        }
    }
    else {
        for (s++; s < end && *s != '"'; s++) {
            if (*s == '\\' && s + 1 < end && (s[1] == '"' || s[1] == '\\')) {
                s++;
            }
            *to++ = *s;
        }
        if (s == end || (++s < end && !is_blank(*s))) {
            return NULL;
        }
    }
    *len = (apr_size_t)(to - out);
    return s;
}

static apr_status_t add_user(reader_t *reader, const char *tier, const char *user, apr_size_t len)
{
    const char *before;

    if (!aigw_names_valid(user, len)) {
        return wrong(reader, "A user must have 1 to 256 bytes of UTF-8, without control characters.");
    }
    user = apr_pstrmemdup(reader->pool, user, len);
    before = apr_hash_get(reader->file->tiers, user, (apr_ssize_t)len);
    if (before && strcmp(before, tier)) {
        return wrong(reader,
                     apr_psprintf(reader->pool, "The user %s is in the tier %s already.", aigw_text_shown(reader->pool, user, SHOWN_NAME),
                                  aigw_text_shown(reader->pool, before, SHOWN_NAME)));
    }
    apr_hash_set(reader->file->tiers, user, (apr_ssize_t)len, tier);
    return APR_SUCCESS;
}

static apr_status_t read_line(reader_t *reader, const char *s, const char *end)
{
    const char *colon, *last, *tier;
    char *word;
    apr_size_t len;

    s = skip_blanks(s, end);
    if (s == end || *s == '#') {
        return APR_SUCCESS;
    }
    colon = memchr(s, ':', (apr_size_t)(end - s));
    if (!colon) {
        return wrong(reader, "A line is a tier, a colon and its users, such as: pro: alice bob");
    }
    for (last = colon; last > s && is_blank(last[-1]); last--) {
    }
    if (!aigw_names_valid(s, (apr_size_t)(last - s))) {
        return wrong(reader, "A tier must have 1 to 256 bytes of UTF-8, without control characters.");
    }
    tier = apr_pstrmemdup(reader->pool, s, (apr_size_t)(last - s));
    word = apr_palloc(reader->pool, (apr_size_t)(end - colon));
    for (s = skip_blanks(colon + 1, end); s < end; s = skip_blanks(s, end)) {
        if (!(s = read_word(s, end, word, &len))) {
            return wrong(reader, "A name in quotes ends with a quote and is followed by a blank.");
        }
        if (add_user(reader, tier, word, len) != APR_SUCCESS) {
            return APR_EINVAL;
        }
    }
    return APR_SUCCESS;
}

apr_status_t aigw_tier_file_read(aigw_tier_file_t **file, const char *text, apr_size_t len, apr_pool_t *p, aigw_tier_fault_t *fault)
{
    const char *end = text + len, *newline;
    reader_t reader = {apr_pcalloc(p, sizeof(aigw_tier_file_t)), p, fault};

    *file = NULL;
    reader.file->tiers = apr_hash_make(p);
    for (fault->line = 1; text < end; text = newline + 1, fault->line++) {
        newline = memchr(text, '\n', (apr_size_t)(end - text));
        newline = newline ? newline : end;
        if (read_line(&reader, text, newline) != APR_SUCCESS) {
            return APR_EINVAL;
        }
    }
    fault->line = 0;
    fault->message = NULL;
    *file = reader.file;
    return APR_SUCCESS;
}

const char *aigw_tier_file_find(const aigw_tier_file_t *file, const char *user)
{
    return apr_hash_get(file->tiers, user, APR_HASH_KEY_STRING);
}

apr_size_t aigw_tier_file_count(const aigw_tier_file_t *file)
{
    return apr_hash_count(file->tiers);
}
