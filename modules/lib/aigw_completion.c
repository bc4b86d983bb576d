/* Reading a chat completion or a chunk of one; see aigw_completion.h. */
#include "aigw_completion.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- members ---- */

static int is_kind(const aigw_json_span_t *span, aigw_json_kind_e kind)
{
    return span->end > 0 && span->kind == kind;
}

static const char *skip_ws(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        ++at;
    }
    return at;
}

/* Finds the members of these names in one walk, the last of each. Of what is no object nothing is found. */
static void find(const aigw_json_scan_t *scan, const aigw_json_span_t *object, int n, const char *const *names, aigw_json_span_t *spans)
{
    aigw_json_span_t name, value;
    apr_size_t pos = 0;
    int i;

    memset(spans, 0, (apr_size_t)n * sizeof(*spans));
    if (!is_kind(object, AIGW_JSON_OBJECT)) {
        return;
    }
    while (aigw_json_next(scan, object, &pos, &name, &value)) {
        for (i = 0; i < n; ++i) {
            if (aigw_json_string_is(scan, &name, names[i])) {
                spans[i] = value;
                break;
            }
        }
    }
}

apr_status_t aigw_completion_read(aigw_completion_t *c, const aigw_json_scan_t *scan)
{
    static const char *const names[] = {"choices", "usage", "error", "progress"};
    aigw_json_span_t spans[4];

    find(scan, &scan->root, 4, names, spans);
    c->scan = scan;
    c->choices = spans[0];
    c->usage = spans[1];
    c->error = spans[2];
    c->progress = spans[3];
    return scan->root.kind == AIGW_JSON_OBJECT ? APR_SUCCESS : APR_EINVAL;
}

/* ---- errors ---- */

static int is_words(const aigw_json_span_t *span)
{
    return is_kind(span, AIGW_JSON_OBJECT) || is_kind(span, AIGW_JSON_STRING);
}

int aigw_completion_is_error(const aigw_completion_t *c)
{
    return is_words(&c->error);
}

static const char *words_of(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_pool_t *p)
{
    return is_kind(span, AIGW_JSON_STRING) ? aigw_json_string(scan, span, p, AIGW_COMPLETION_ERROR_MAX, NULL) : NULL;
}

static void read_error(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_pool_t *p, aigw_completion_error_t *error)
{
    static const char *const names[] = {"message", "code", "param"};
    aigw_json_span_t spans[3];

    find(scan, span, 3, names, spans);
    error->message = words_of(scan, is_kind(span, AIGW_JSON_STRING) ? span : &spans[0], p);
    error->code = words_of(scan, &spans[1], p);
    error->param = words_of(scan, &spans[2], p);
}

void aigw_completion_error(const aigw_completion_t *c, apr_pool_t *p, aigw_completion_error_t *error)
{
    read_error(c->scan, &c->error, p, error);
}

void aigw_completion_failure(const aigw_json_scan_t *scan, apr_pool_t *p, aigw_completion_error_t *error)
{
    static const char *const names[] = {"error", "detail"};
    aigw_json_span_t spans[2];

    find(scan, &scan->root, 2, names, spans);
    if (is_words(&spans[0]) || is_words(&spans[1])) {
        read_error(scan, is_words(&spans[0]) ? &spans[0] : &spans[1], p, error);
    }
    else if (scan->root.kind == AIGW_JSON_OBJECT) {
        read_error(scan, &scan->root, p, error);
    }
    else { /* a string alone is no JSON that a server would send as such */
        memset(error, 0, sizeof(*error));
    }
}

double aigw_completion_progress(const aigw_completion_t *c)
{
    double progress = -1;

    return is_kind(&c->progress, AIGW_JSON_NUMBER) && aigw_json_double(c->scan, &c->progress, &progress) && progress >= 0 && progress <= 1
               ? progress
               : -1;
}

/* Not by a walk's first step: that would go over all of a large choice. */
int aigw_completion_has_choices(const aigw_completion_t *c)
{
    const char *end = c->scan->text + c->choices.end;

    return is_kind(&c->choices, AIGW_JSON_ARRAY) && *skip_ws(c->scan->text + c->choices.start + 1, end) != ']';
}

/* ---- numbers ---- */

/* 1 if it is written as an integer: 7.0 and 7e0 are not. *n is -1 where it is out of range. */
static int integer(const aigw_json_scan_t *scan, const aigw_json_span_t *span, apr_int64_t *n)
{
    apr_size_t i;

    if (!is_kind(span, AIGW_JSON_NUMBER)) {
        return 0;
    }
    for (i = span->start; i < span->end; ++i) {
        char c = scan->text[i];

        if (c == '.' || c == 'e' || c == 'E') {
            return 0;
        }
    }
    if (!aigw_json_int(scan, span, n)) {
        *n = -1;
    }
    return 1;
}

static apr_int64_t count(const aigw_json_scan_t *scan, const aigw_json_span_t *span)
{
    apr_int64_t n;

    return integer(scan, span, &n) ? n : -1;
}

static apr_int64_t detail(const aigw_json_scan_t *scan, const aigw_json_span_t *details, const char *name)
{
    aigw_json_span_t span;

    find(scan, details, 1, &name, &span);
    return count(scan, &span);
}

int aigw_completion_usage(const aigw_completion_t *c, aigw_completion_usage_t *usage)
{
    static const char *const names[] = {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
                                        "completion_tokens_details"};
    aigw_json_span_t spans[5];

    if (!is_kind(&c->usage, AIGW_JSON_OBJECT)) {
        return 0;
    }
    find(c->scan, &c->usage, 5, names, spans);
    usage->prompt_tokens = count(c->scan, &spans[0]);
    usage->completion_tokens = count(c->scan, &spans[1]);
    usage->total_tokens = count(c->scan, &spans[2]);
    usage->cached_tokens = detail(c->scan, &spans[3], "cached_tokens");
    usage->reasoning_tokens = detail(c->scan, &spans[4], "reasoning_tokens");
    return 1;
}

/* An element's index, or its place where it does not say. */
static int index_of(const aigw_json_scan_t *scan, const aigw_json_span_t *span, int place)
{
    apr_int64_t n;

    if (!integer(scan, span, &n)) {
        return place;
    }
    return n < 0 || n > INT_MAX ? -1 : (int)n;
}

/* ---- choices ---- */

/* Memory for one unescaped string; used again for the next. */
typedef struct scratch_t {
    char *s;
    apr_size_t room;
} scratch_t;

typedef struct teller_t {
    const aigw_json_scan_t *scan;
    aigw_completion_fn fn;
    void *baton;
    scratch_t data, id, name;
} teller_t;

static char *room_for(scratch_t *scratch, apr_size_t need)
{
    if (need > scratch->room) {
        apr_size_t room = need < 64 ? 64 : need;

        free(scratch->s);
        scratch->s = malloc(room);
        scratch->room = scratch->s ? room : 0;
    }
    return scratch->s;
}

/* A string of the answer: in the text itself where it has no escapes. 0 without memory; *data is NULL if it is no string. */
static int take_bytes(const teller_t *t, const aigw_json_span_t *span, scratch_t *scratch, const char **data, apr_size_t *len)
{
    *data = NULL;
    *len = 0;
    if (!is_kind(span, AIGW_JSON_STRING)) {
        return 1;
    }
    *data = t->scan->text + span->start + 1;
    *len = span->end - span->start - 2;
    if (*len && memchr(*data, '\\', *len)) {
        char *out = room_for(scratch, *len + 1);

        *data = out;
        *len = out ? aigw_json_unescape(t->scan, span, out) : 0;
        return out != NULL;
    }
    return 1;
}

/* The same, NUL-terminated. */
static int take_string(const teller_t *t, const aigw_json_span_t *span, scratch_t *scratch, const char **s)
{
    char *out;

    *s = NULL;
    if (!is_kind(span, AIGW_JSON_STRING)) {
        return 1;
    }
    if (!(out = room_for(scratch, span->end - span->start - 1))) {
        return 0;
    }
    aigw_json_unescape(t->scan, span, out);
    *s = out;
    return 1;
}

static int tell_text(teller_t *t, int choice, const aigw_json_span_t *content)
{
    aigw_completion_piece_t piece = {.kind = AIGW_COMPLETION_TEXT, .choice = choice};

    if (!take_bytes(t, content, &t->data, &piece.data, &piece.len)) {
        return 0;
    }
    if (piece.len) {
        t->fn(t->baton, &piece);
    }
    return 1;
}

static int tell_tool(teller_t *t, int choice, const aigw_json_span_t *tool, int place)
{
    static const char *const names[] = {"index", "id", "function"}, *const parts[] = {"name", "arguments"};
    aigw_completion_piece_t piece = {.kind = AIGW_COMPLETION_TOOL, .choice = choice};
    aigw_json_span_t spans[3], function[2];

    find(t->scan, tool, 3, names, spans);
    find(t->scan, &spans[2], 2, parts, function);
    piece.tool_index = index_of(t->scan, &spans[0], place);
    if (!take_string(t, &spans[1], &t->id, &piece.tool_id) || !take_string(t, &function[0], &t->name, &piece.tool_name) ||
        !take_bytes(t, &function[1], &t->data, &piece.data, &piece.len)) {
        return 0;
    }
    t->fn(t->baton, &piece);
    return 1;
}

static int tell_tools(teller_t *t, int choice, const aigw_json_span_t *tools)
{
    aigw_json_span_t tool;
    apr_size_t pos = 0;
    int i;

    if (!is_kind(tools, AIGW_JSON_ARRAY)) {
        return 1;
    }
    for (i = 0; aigw_json_next(t->scan, tools, &pos, NULL, &tool); ++i) {
        if (!tell_tool(t, choice, &tool, i)) {
            return 0;
        }
    }
    return 1;
}

static int tell_finish(teller_t *t, int choice, const aigw_json_span_t *reason)
{
    aigw_completion_piece_t piece = {.kind = AIGW_COMPLETION_FINISH, .choice = choice};

    if (!take_string(t, reason, &t->data, &piece.finish_reason)) {
        return 0;
    }
    if (piece.finish_reason) {
        t->fn(t->baton, &piece);
    }
    return 1;
}

static int tell_choice(teller_t *t, const aigw_json_span_t *choice, const char *part, int place)
{
    static const char *const parts[] = {"content", "tool_calls"};
    const char *const names[] = {"index", part, "finish_reason"};
    aigw_json_span_t spans[3], said[2];
    int n;

    find(t->scan, choice, 3, names, spans);
    find(t->scan, &spans[1], 2, parts, said);
    n = index_of(t->scan, &spans[0], place);
    return tell_text(t, n, &said[0]) && tell_tools(t, n, &said[1]) && tell_finish(t, n, &spans[2]);
}

apr_status_t aigw_completion_each(const aigw_completion_t *c, const char *part, aigw_completion_fn fn, void *baton)
{
    teller_t t = {.scan = c->scan, .fn = fn, .baton = baton};
    aigw_json_span_t choice;
    apr_size_t pos = 0;
    int i, good = 1;

    if (is_kind(&c->choices, AIGW_JSON_ARRAY)) {
        for (i = 0; good && aigw_json_next(c->scan, &c->choices, &pos, NULL, &choice); ++i) {
            good = tell_choice(&t, &choice, part, i);
        }
    }
    free(t.data.s);
    free(t.id.s);
    free(t.name.s);
    return good ? APR_SUCCESS : APR_ENOMEM;
}

const char *aigw_completion_finish(const aigw_completion_t *c, apr_pool_t *p, apr_size_t max)
{
    static const char *const names[] = {"finish_reason"};
    aigw_json_span_t choice, reason;
    apr_size_t pos = 0;

    if (!is_kind(&c->choices, AIGW_JSON_ARRAY) || !aigw_json_next(c->scan, &c->choices, &pos, NULL, &choice)) {
        return NULL;
    }
    find(c->scan, &choice, 1, names, &reason);
    return is_kind(&reason, AIGW_JSON_STRING) ? aigw_json_string(c->scan, &reason, p, max, NULL) : NULL;
}

/* ---- a look at a chunk's bytes ---- */

/* What follows the next member of that name (in its quotes) and its colon from `at` on, or NULL. A quoted name inside of a string has a backslash before its last quote,
 * so it is never found; a string that is nothing but the name has no colon behind it. */
static const char *after_name(const char *at, const char *end, const char *quoted)
{
    apr_size_t len = strlen(quoted);

    while ((at = memmem(at, (apr_size_t)(end - at), quoted, len)) != NULL) {
        const char *colon = skip_ws(at + len, end);

        if (colon < end && *colon == ':' && (colon = skip_ws(colon + 1, end)) < end) {
            return colon;
        }
        at += len;
    }
    return NULL;
}

void aigw_completion_peek(const char *text, apr_size_t len, aigw_completion_peek_t *peek)
{
    const char *end = text + len, *at;

    memset(peek, 0, sizeof(*peek));
    peek->closer = !after_name(text, end, "\"choices\"");
    for (at = text; !peek->closer && (at = after_name(at, end, "\"usage\"")) != NULL;) {
        peek->closer = *at == '{';
    }
    for (at = text; !peek->finish && (at = after_name(at, end, "\"finish_reason\"")) != NULL;) {
        const char *quote = *at == '"' ? memchr(at + 1, '"', (apr_size_t)(end - at - 1)) : NULL;

        if (quote) {
            peek->finish = at + 1;
            peek->finish_len = (apr_size_t)(quote - at - 1);
        }
    }
}
