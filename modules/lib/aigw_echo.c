/* The built-in model's words; see aigw_echo.h. */
#include "aigw_echo.h"

#include <apr_tables.h>
#include <string.h>

typedef struct word_t {
    const char *s; /* with a leading space */
    apr_size_t len;
} word_t;

struct aigw_echo_t {
    apr_pool_t *p;
    apr_array_header_t *words; /* of word_t: what is said back */
    apr_int64_t prompt;        /* words of the prompt */
    apr_int64_t answerable;    /* of those, words that would be said back, kept or not */
};

aigw_echo_t *aigw_echo_make(apr_pool_t *p)
{
    aigw_echo_t *e = apr_pcalloc(p, sizeof(*e));

    e->p = p;
    e->words = apr_array_make(p, 16, sizeof(word_t));
    return e;
}

/* not isspace(): what it says depends on the locale */
static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* How much of a word is said: all of it, or AIGW_ECHO_WORD_MAX bytes less those of a UTF-8 character that would be cut. */
static apr_size_t said(const char *s, apr_size_t len)
{
    if (len > AIGW_ECHO_WORD_MAX) {
        for (len = AIGW_ECHO_WORD_MAX; len > AIGW_ECHO_WORD_MAX - 3 && ((unsigned char)s[len] & 0xc0) == 0x80; --len) {
        }
    }
    return len;
}

static void keep_word(aigw_echo_t *e, const char *s, apr_size_t len)
{
    word_t *w = apr_array_push(e->words);
    apr_size_t n = said(s, len);
    char *copy = apr_palloc(e->p, n + 1);

    copy[0] = ' ';
    memcpy(copy + 1, s, n);
    w->s = copy;
    w->len = n + 1;
}

void aigw_echo_prompt(aigw_echo_t *e, const char *text, apr_size_t len, int answer)
{
    apr_size_t at = 0;

    while (at < len) {
        apr_size_t start;

        while (at < len && is_space(text[at])) {
            ++at;
        }
        for (start = at; at < len && !is_space(text[at]); ++at) {
        }
        if (at == start) {
            break;
        }
        ++e->prompt;
        if (answer) {
            ++e->answerable;
            if (e->words->nelts < AIGW_ECHO_WORDS_MAX) {
                keep_word(e, text + start, at - start);
            }
        }
    }
}

apr_int64_t aigw_echo_prompt_tokens(const aigw_echo_t *e)
{
    return e->prompt;
}

apr_int64_t aigw_echo_plan(const aigw_echo_t *e, apr_int64_t words, apr_int64_t max_tokens, const char **finish_reason)
{
    apr_int64_t n = words > 0 ? words : e->answerable;

    if (n == 0) {
        n = 1;
    }
    if (max_tokens >= 0 && max_tokens < n) {
        *finish_reason = "length";
        return max_tokens;
    }
    *finish_reason = "stop";
    return n;
}

const char *aigw_echo_word(aigw_echo_t *e, apr_int64_t i, apr_size_t *len)
{
    word_t w = {" ...", 4};

    if (e->words->nelts > 0) {
        w = APR_ARRAY_IDX(e->words, i > 0 ? i % e->words->nelts : 0, word_t);
    }
    if (i <= 0) { /* the first has no word before it */
        ++w.s;
        --w.len;
    }
    *len = w.len;
    return w.s;
}
