/* Edits of a JSON text at scanned offsets; see aigw_splice.h. */
#include "aigw_splice.h"

#include <apr_strings.h>
#include <string.h>

typedef struct edit_t {
    apr_size_t start, end;
    const char *insert;
    apr_size_t len;
    const char *added; /* the name of a member that aigw_splice_set() added, else NULL */
} edit_t;

struct aigw_splice_t {
    apr_pool_t *p;
    const aigw_json_scan_t *scan;
    int n;
    edit_t edits[AIGW_SPLICES_MAX]; /* in the order of the text */
};

aigw_splice_t *aigw_splice_make(apr_pool_t *p, const aigw_json_scan_t *scan)
{
    aigw_splice_t *s = apr_pcalloc(p, sizeof(*s));

    s->p = p;
    s->scan = scan;
    return s;
}

/* An insert at the edge of what is replaced does not overlap it. */
static int overlap(const edit_t *e, apr_size_t start, apr_size_t end)
{
    if (e->start == start && e->end == end) {
        return start != end;
    }
    return e->start < end && start < e->end;
}

/* Inserts before a replacement that begins at the same place, and behind earlier inserts there. */
static int place_of(const aigw_splice_t *s, apr_size_t start, apr_size_t end)
{
    int i = s->n;

    while (i > 0 && (s->edits[i - 1].start > start || (s->edits[i - 1].start == start && s->edits[i - 1].end > end))) {
        --i;
    }
    return i;
}

static edit_t *add_edit(aigw_splice_t *s, apr_size_t start, apr_size_t end, const char *insert, apr_size_t len)
{
    edit_t *e;
    int i;

    if (start > end || end > s->scan->len || s->n == AIGW_SPLICES_MAX) {
        return NULL;
    }
    for (i = 0; i < s->n; ++i) {
        if (overlap(&s->edits[i], start, end)) {
            return NULL;
        }
    }
    i = place_of(s, start, end);
    e = &s->edits[i];
    memmove(e + 1, e, (apr_size_t)(s->n - i) * sizeof(*e));
    ++s->n;
    e->start = start;
    e->end = end;
    e->insert = len ? apr_pmemdup(s->p, insert, len) : NULL;
    e->len = len;
    e->added = NULL;
    return e;
}

apr_status_t aigw_splice_replace(aigw_splice_t *s, apr_size_t start, apr_size_t end, const char *insert, apr_size_t len)
{
    return add_edit(s, start, end, insert, len) ? APR_SUCCESS : APR_EINVAL;
}

static int is_bare_name(const char *name)
{
    for (; *name; ++name) {
        if ((unsigned char)*name < 0x20 || *name == '"' || *name == '\\') {
            return 0;
        }
    }
    return 1;
}

/* Adds "name":json behind the opening brace. empty: the object had no members. */
static apr_status_t add_first(aigw_splice_t *s, const aigw_json_span_t *object, int empty, const char *name, const char *json)
{
    apr_size_t at = object->start + 1;
    const char *before = "", *after = empty ? "" : ",";
    char *text;
    edit_t *e;
    int i;

    for (i = 0; i < s->n; ++i) {
        if (s->edits[i].added && s->edits[i].start == at) {
            if (strcmp(s->edits[i].added, name) == 0) {
                return APR_EINVAL;
            }
            before = empty ? "," : ""; /* it stands behind the ones added earlier */
        }
    }
    text = apr_pstrcat(s->p, before, "\"", name, "\":", json, after, NULL);
    e = add_edit(s, at, at, text, strlen(text));
    if (!e) {
        return APR_EINVAL;
    }
    e->added = apr_pstrdup(s->p, name);
    return APR_SUCCESS;
}

apr_status_t aigw_splice_set(aigw_splice_t *s, const aigw_json_span_t *object, const char *name, const char *json)
{
    aigw_json_span_t key, value;
    apr_size_t pos = 0;
    int members = 0, found = 0;

    if (object->kind != AIGW_JSON_OBJECT || object->start >= object->end || object->end > s->scan->len || !is_bare_name(name)) {
        return APR_EINVAL;
    }
    if (object->start == s->scan->root.start) { /* its members are known: a large body need not be walked */
        const aigw_json_member_t *m = aigw_json_member(s->scan, name);

        return m ? aigw_splice_replace(s, m->value.start, m->value.end, json, strlen(json))
                 : add_first(s, object, s->scan->nmembers == 0, name, json);
    }
    while (aigw_json_next(s->scan, object, &pos, &key, &value)) {
        members = 1;
        if (aigw_json_string_is(s->scan, &key, name)) {
            found = 1;
            if (!add_edit(s, value.start, value.end, json, strlen(json))) {
                return APR_EINVAL;
            }
        }
    }
    return found ? APR_SUCCESS : add_first(s, object, !members, name, json);
}

static void add_piece(struct iovec *pieces, int *n, apr_size_t *total, const char *from, apr_size_t len)
{
    if (len) {
        pieces[*n].iov_base = (void *)from; /* an iovec is not const, but these are only read */
        pieces[*n].iov_len = len;
        ++*n;
        *total += len;
    }
}

struct iovec *aigw_splice_pieces(const aigw_splice_t *s, apr_pool_t *p, int *n, apr_size_t *total)
{
    struct iovec *pieces = apr_palloc(p, ((apr_size_t)s->n * 2 + 1) * sizeof(*pieces));
    apr_size_t at = 0, sum = 0;
    int i;

    *n = 0;
    for (i = 0; i < s->n; ++i) {
        const edit_t *e = &s->edits[i];

        add_piece(pieces, n, &sum, s->scan->text + at, e->start - at);
        add_piece(pieces, n, &sum, e->insert, e->len);
        at = e->end;
    }
    add_piece(pieces, n, &sum, s->scan->text + at, s->scan->len - at);
    if (total) {
        *total = sum;
    }
    return pieces;
}
