/* What a chat completion request says; see aigw_chat.h. */
#include "aigw_chat.h"

#include <apr_strings.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define MODEL_MAX 256
#define N_MAX     128

typedef struct reader_t {
    aigw_chat_t *chat;
    const aigw_json_scan_t *scan;
    apr_pool_t *p;
    aigw_chat_fault_t *fault;
} reader_t;

/* A message's members that matter here. A span that ends at 0 is of a member that is absent: no value ends there. */
typedef struct message_t {
    const char *role; /* one of roles[], or NULL */
    int has_role;
    aigw_json_span_t content, tool_calls;
} message_t;

static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};

/* The member that fmt names is at fault. Always 0. */
__attribute__((format(printf, 3, 4))) static int fault(reader_t *r, const char *what, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    r->fault->param = apr_pvsprintf(r->p, fmt, args);
    va_end(args);
    r->fault->message = apr_pstrcat(r->p, r->fault->param, " ", what, NULL);
    return 0;
}

static int is_there(const aigw_json_span_t *span)
{
    return span->end > 0 && span->kind != AIGW_JSON_NULL;
}

/* The top-level member, or NULL where it is absent or null. */
static const aigw_json_span_t *given(const reader_t *r, const char *name)
{
    const aigw_json_member_t *m = aigw_json_member(r->scan, name);

    return m && is_there(&m->value) ? &m->value : NULL;
}

/* ---- messages ---- */

static const char *role_of(const aigw_json_scan_t *scan, const aigw_json_span_t *span)
{
    apr_size_t i;

    for (i = 0; i < sizeof(roles) / sizeof(*roles); ++i) {
        if (aigw_json_string_is(scan, span, roles[i])) {
            return roles[i];
        }
    }
    return NULL;
}

/* One walk for all of its members: a message may hold megabytes. */
static void find_members(const aigw_json_scan_t *scan, const aigw_json_span_t *object, message_t *m)
{
    aigw_json_span_t name, value;
    apr_size_t pos = 0;

    memset(m, 0, sizeof(*m));
    while (aigw_json_next(scan, object, &pos, &name, &value)) {
        if (aigw_json_string_is(scan, &name, "role")) {
            m->has_role = 1;
            m->role = role_of(scan, &value);
        }
        else if (aigw_json_string_is(scan, &name, "content")) {
            m->content = value;
        }
        else if (aigw_json_string_is(scan, &name, "tool_calls")) {
            m->tool_calls = value;
        }
    }
}

/* The member of a nested object; a span that ends at 0 if it is absent. */
static aigw_json_span_t find_member(const aigw_json_scan_t *scan, const aigw_json_span_t *object, const char *wanted)
{
    aigw_json_span_t found = {AIGW_JSON_NULL, 0, 0}, name, value;
    apr_size_t pos = 0;

    while (aigw_json_next(scan, object, &pos, &name, &value)) {
        if (aigw_json_string_is(scan, &name, wanted)) {
            found = value;
        }
    }
    return found;
}

static int read_part(reader_t *r, const aigw_json_span_t *part, int message, int n)
{
    aigw_json_span_t type, member;

    if (part->kind != AIGW_JSON_OBJECT) {
        return fault(r, "must be an object", "messages[%d].content[%d]", message, n);
    }
    type = find_member(r->scan, part, "type");
    if (!is_there(&type) || type.kind != AIGW_JSON_STRING) {
        return fault(r, "must be a string", "messages[%d].content[%d].type", message, n);
    }
    if (aigw_json_string_is(r->scan, &type, "text")) {
        member = find_member(r->scan, part, "text");
        if (!is_there(&member) || member.kind != AIGW_JSON_STRING) {
            return fault(r, "must be a string", "messages[%d].content[%d].text", message, n);
        }
    }
    else if (aigw_json_string_is(r->scan, &type, "image_url")) {
        member = find_member(r->scan, part, "image_url");
        if (!is_there(&member) || member.kind != AIGW_JSON_OBJECT) {
            return fault(r, "must be an object", "messages[%d].content[%d].image_url", message, n);
        }
        member = find_member(r->scan, &member, "url");
        if (!is_there(&member) || member.kind != AIGW_JSON_STRING) {
            return fault(r, "must be a string", "messages[%d].content[%d].image_url.url", message, n);
        }
    }
    return 1;
}

static int read_content(reader_t *r, const message_t *m, int message)
{
    aigw_json_span_t part;
    apr_size_t pos = 0;
    int n;

    if (!is_there(&m->content)) {
        return strcmp(m->role, "assistant") == 0 || fault(r, "is required for this role", "messages[%d].content", message);
    }
    if (m->content.kind == AIGW_JSON_STRING) {
        return 1;
    }
    if (m->content.kind != AIGW_JSON_ARRAY) {
        return fault(r, "must be a string or an array", "messages[%d].content", message);
    }
    for (n = 0; aigw_json_next(r->scan, &m->content, &pos, NULL, &part); ++n) {
        if (!read_part(r, &part, message, n)) {
            return 0;
        }
    }
    return 1;
}

static int read_message(reader_t *r, const aigw_json_span_t *span, int n)
{
    message_t m;

    if (span->kind != AIGW_JSON_OBJECT) {
        return fault(r, "must be an object", "messages[%d]", n);
    }
    find_members(r->scan, span, &m);
    if (!m.role) {
        return fault(r, m.has_role ? "must be one of system, developer, user, assistant, tool and function" : "is required",
                     "messages[%d].role", n);
    }
    if (!read_content(r, &m, n)) {
        return 0;
    }
    if (is_there(&m.tool_calls) && m.tool_calls.kind != AIGW_JSON_ARRAY) {
        return fault(r, "must be an array", "messages[%d].tool_calls", n);
    }
    if (strcmp(m.role, "user") == 0) {
        r->chat->last_user = n;
    }
    return 1;
}

static int read_messages(reader_t *r)
{
    const aigw_json_member_t *m = aigw_json_member(r->scan, "messages");
    aigw_json_span_t message;
    apr_size_t pos = 0;

    if (!m) {
        return fault(r, "is required", "messages");
    }
    if (m->value.kind != AIGW_JSON_ARRAY) {
        return fault(r, "must be an array", "messages");
    }
    r->chat->messages = m->value;
    while (aigw_json_next(r->scan, &m->value, &pos, NULL, &message)) {
        if (!read_message(r, &message, r->chat->nmessages)) {
            return 0;
        }
        ++r->chat->nmessages;
    }
    return r->chat->nmessages > 0 || fault(r, "must not be empty", "messages");
}

/* ---- parameters ---- */

/* No control characters: the name stands in logs and headers. */
static int read_model(reader_t *r)
{
    const aigw_json_member_t *m = aigw_json_member(r->scan, "model");
    apr_size_t len, i;
    const char *name;

    if (!m) {
        return 1;
    }
    if (m->value.kind != AIGW_JSON_STRING) {
        return fault(r, "must be a string", "model");
    }
    name = aigw_json_string(r->scan, &m->value, r->p, MODEL_MAX, &len);
    if (!name || len == 0) {
        return fault(r, "must have 1 to 256 bytes", "model");
    }
    for (i = 0; i < len; ++i) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
            return fault(r, "must not contain control characters", "model");
        }
    }
    r->chat->model = name;
    r->chat->model_member = m;
    return 1;
}

static int is_boolean(const aigw_json_span_t *span)
{
    return span->kind == AIGW_JSON_TRUE || span->kind == AIGW_JSON_FALSE;
}

static int read_stream(reader_t *r)
{
    const aigw_json_span_t *stream = given(r, "stream"), *options = given(r, "stream_options");
    aigw_json_span_t usage;

    if (stream && !is_boolean(stream)) {
        return fault(r, "must be a boolean", "stream");
    }
    r->chat->stream = stream && stream->kind == AIGW_JSON_TRUE;
    if (!options) {
        return 1;
    }
    if (options->kind != AIGW_JSON_OBJECT) {
        return fault(r, "must be an object", "stream_options");
    }
    if (!r->chat->stream) {
        return fault(r, "is only allowed when stream is true", "stream_options");
    }
    r->chat->stream_options = aigw_json_member(r->scan, "stream_options");
    usage = find_member(r->scan, options, "include_usage");
    if (is_there(&usage) && !is_boolean(&usage)) {
        return fault(r, "must be a boolean", "stream_options.include_usage");
    }
    r->chat->include_usage = is_there(&usage) && usage.kind == AIGW_JSON_TRUE;
    return 1;
}

static int read_limit(reader_t *r, const char *name)
{
    const aigw_json_span_t *span = given(r, name);
    apr_int64_t v;

    if (!span) {
        return 1;
    }
    if (!aigw_json_int(r->scan, span, &v) || v < 1) {
        return fault(r, "must be an integer of at least 1", "%s", name);
    }
    r->chat->max_tokens = v;
    r->chat->longest = v > r->chat->longest ? v : r->chat->longest;
    return 1;
}

static int read_n(reader_t *r)
{
    const aigw_json_span_t *span = given(r, "n");
    apr_int64_t v = 1;

    if (span && (!aigw_json_int(r->scan, span, &v) || v < 1 || v > N_MAX)) {
        return fault(r, "must be an integer from 1 to 128", "n");
    }
    r->chat->n = (int)v;
    return 1;
}

/* *out may be NULL: then the number is only checked. */
static int read_number(reader_t *r, const char *name, int min, int max, double *out)
{
    const aigw_json_span_t *span = given(r, name);
    double v;

    if (!span) {
        return 1;
    }
    if (!aigw_json_double(r->scan, span, &v) || v < min || v > max) {
        return fault(r, apr_psprintf(r->p, "must be a number from %d to %d", min, max), "%s", name);
    }
    if (out) {
        *out = v;
    }
    return 1;
}

static int read_kind(reader_t *r, const char *name, aigw_json_kind_e kind, const char *what)
{
    const aigw_json_span_t *span = given(r, name);

    return !span || span->kind == kind || fault(r, what, "%s", name);
}

/* All elements of an array are of one kind. */
static int read_elements(reader_t *r, const char *name, aigw_json_kind_e kind, const char *what)
{
    const aigw_json_span_t *array = given(r, name);
    aigw_json_span_t element;
    apr_size_t pos = 0;
    int n;

    for (n = 0; array && aigw_json_next(r->scan, array, &pos, NULL, &element); ++n) {
        if (element.kind != kind) {
            return fault(r, what, "%s[%d]", name, n);
        }
    }
    return 1;
}

static int read_stop(reader_t *r)
{
    const aigw_json_span_t *stop = given(r, "stop");

    if (!stop || stop->kind == AIGW_JSON_STRING) {
        return 1;
    }
    return read_kind(r, "stop", AIGW_JSON_ARRAY, "must be a string or an array of strings") &&
           read_elements(r, "stop", AIGW_JSON_STRING, "must be a string");
}

/* Some parsers upstream (Go's encoding/json) take a name whatever its case, and two letters of Unicode that fold to ASCII: they would read another model, or another
 * limit, than the gateway. Returns the bytes of the character at *s that folds to the lower-case letter c, or 0. */
static int folds_to(const char *s, char c)
{
    if ((*s | ((unsigned)(*s - 'A') < 26 ? 0x20 : 0)) == c) {
        return 1;
    }
    if (c == 's' && !strncmp(s, "\xC5\xBF", 2)) {
        return 2;
    }
    return c == 'k' && !strncmp(s, "\xE2\x84\xAA", 3) ? 3 : 0;
}

static int same_but_for_case(const char *name, const char *known)
{
    if (!strcmp(name, known)) {
        return 0;
    }
    for (; *known; known++) {
        int n = folds_to(name, *known);
        if (!n) {
            return 0;
        }
        name += n;
    }
    return !*name;
}

static int read_names(reader_t *r)
{
    static const char *const known[] = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", NULL};
    int i, k;

    for (i = 0; i < r->scan->nmembers; i++) {
        for (k = 0; known[k]; k++) {
            if (same_but_for_case(r->scan->members[i].name, known[k])) {
                return fault(r, "must be written in lower case", "%s", known[k]);
            }
        }
    }
    return 1;
}

static int read_all(reader_t *r)
{
    if (r->scan->root.kind != AIGW_JSON_OBJECT) {
        r->fault->message = "The request body must be a JSON object";
        return 0;
    }
    /* max_completion_tokens comes second because it wins */
    return read_names(r) && read_model(r) && read_messages(r) && read_stream(r) && read_limit(r, "max_tokens") &&
           read_limit(r, "max_completion_tokens") && read_n(r) && read_number(r, "temperature", 0, 2, &r->chat->temperature) &&
           read_number(r, "top_p", 0, 1, NULL) && read_number(r, "presence_penalty", -2, 2, NULL) &&
           read_number(r, "frequency_penalty", -2, 2, NULL) && read_kind(r, "tools", AIGW_JSON_ARRAY, "must be an array") &&
           read_elements(r, "tools", AIGW_JSON_OBJECT, "must be an object") && read_stop(r) &&
           read_kind(r, "user", AIGW_JSON_STRING, "must be a string") &&
           read_kind(r, "response_format", AIGW_JSON_OBJECT, "must be an object");
}

apr_status_t aigw_chat_read(aigw_chat_t *chat, const aigw_json_scan_t *scan, apr_pool_t *p, aigw_chat_fault_t *f)
{
    reader_t r;

    memset(chat, 0, sizeof(*chat));
    memset(f, 0, sizeof(*f));
    chat->scan = scan;
    chat->last_user = -1;
    chat->max_tokens = chat->longest = -1;
    chat->temperature = NAN;
    chat->n = 1;
    r.chat = chat;
    r.scan = scan;
    r.p = p;
    r.fault = f;
    return read_all(&r) ? APR_SUCCESS : APR_EINVAL;
}

/* ---- texts ---- */

typedef struct texts_t {
    const aigw_json_scan_t *scan;
    apr_pool_t *scratch;
    aigw_chat_text_fn fn;
    void *baton;
} texts_t;

static void give_text(const texts_t *t, const char *role, int last_user, const aigw_json_span_t *span)
{
    const char *text = t->scan->text + span->start + 1;
    apr_size_t len = span->end - span->start - 2;

    if (len && memchr(text, '\\', len)) {
        text = aigw_json_string(t->scan, span, t->scratch, 0, &len);
    }
    t->fn(t->baton, role, last_user, text, len);
    apr_pool_clear(t->scratch);
}

static void give_message(const texts_t *t, const aigw_json_span_t *span, int last_user)
{
    message_t m;
    aigw_json_span_t part, type, text;
    apr_size_t pos = 0;

    find_members(t->scan, span, &m);
    if (m.content.end > 0 && m.content.kind == AIGW_JSON_STRING) {
        give_text(t, m.role, last_user, &m.content);
        return;
    }
    while (is_there(&m.content) && aigw_json_next(t->scan, &m.content, &pos, NULL, &part)) {
        type = find_member(t->scan, &part, "type");
        if (is_there(&type) && aigw_json_string_is(t->scan, &type, "text")) {
            text = find_member(t->scan, &part, "text");
            give_text(t, m.role, last_user, &text);
        }
    }
}

void aigw_chat_each_text(const aigw_chat_t *chat, apr_pool_t *p, aigw_chat_text_fn fn, void *baton)
{
    texts_t t = {chat->scan, NULL, fn, baton};
    aigw_json_span_t message;
    apr_size_t pos = 0;
    int n;

    if (apr_pool_create(&t.scratch, p) != APR_SUCCESS) {
        return;
    }
    for (n = 0; aigw_json_next(chat->scan, &chat->messages, &pos, NULL, &message); ++n) {
        give_message(&t, &message, n == chat->last_user);
    }
    apr_pool_destroy(t.scratch);
}
