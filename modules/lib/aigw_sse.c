/* A splitter of server-sent events; see aigw_sse.h.
 *
 * An event that lies in one input is never copied. One that straddles inputs is collected in `kept`, line by line, and each byte
 * is looked at once, so that a stream that comes byte by byte costs no more than its length.
 */
#include "aigw_sse.h"

#include <stdlib.h>
#include <string.h>

#define SSE_ROOM_MIN   1024
#define SSE_ROOM_IDLE  65536 /* a larger buffer is given back once its event is gone: streams live long */
#define SSE_EOL_WINDOW 512   /* see find_eol() */

typedef struct bytes_t {
    char *s;
    apr_size_t len, room;
} bytes_t;

struct aigw_sse_t {
    apr_size_t max;
    bytes_t kept;   /* the event so far, where it began in an earlier input */
    bytes_t joined; /* its data lines, where there are several */
    int bom;        /* bytes of the byte order mark seen at the start: 0..2, BOM_DONE after it */
    int cr;         /* the last line ended in CR: an LF now is the rest of its end */
    int comment;    /* in a comment line between events */
    int lost;
    int done; /* the event was handed out: the next call forgets it */
    /* what the event's lines have said; offsets in the event */
    apr_size_t line; /* where the line being read begins */
    int ndata;
    apr_size_t data_at, data_len;
    int has_event;
    apr_size_t event_at, event_len;
};

static const char bom_bytes[] = "\xef\xbb\xbf";
#define BOM_DONE 3

static apr_status_t sse_free(void *data)
{
    aigw_sse_t *s = data;

    free(s->kept.s);
    free(s->joined.s);
    memset(&s->kept, 0, sizeof(s->kept));
    memset(&s->joined, 0, sizeof(s->joined));
    return APR_SUCCESS;
}

aigw_sse_t *aigw_sse_make(apr_pool_t *p, apr_size_t max)
{
    aigw_sse_t *s = apr_pcalloc(p, sizeof(*s));

    s->max = max;
    apr_pool_cleanup_register(p, s, sse_free, apr_pool_cleanup_null);
    return s;
}

/* Appends n bytes; 0 if there would be more than max of them, or no memory. */
static int append(bytes_t *b, apr_size_t max, const char *from, apr_size_t n)
{
    if (n > max || b->len > max - n) {
        return 0;
    }
    if (b->len + n > b->room) {
        apr_size_t room = b->len + n < SSE_ROOM_MIN / 2 ? SSE_ROOM_MIN / 2 : b->len + n;
        char *grown;

        room = room > max / 2 ? max : room * 2; /* twice what is needed: appending stays linear */
        grown = realloc(b->s, room);
        if (!grown) {
            return 0;
        }
        b->s = grown;
        b->room = room;
    }
    if (n) {
        memcpy(b->s + b->len, from, n);
        b->len += n;
    }
    return 1;
}

static void empty(bytes_t *b)
{
    if (b->room > SSE_ROOM_IDLE) {
        free(b->s);
        b->s = NULL;
        b->room = 0;
    }
    b->len = 0;
}

static void next_event(aigw_sse_t *s)
{
    empty(&s->kept);
    empty(&s->joined);
    s->line = 0;
    s->ndata = 0;
    s->has_event = 0;
    s->done = 0;
}

/* The first LF or CR, or NULL. Two searches for one byte are faster than one for two, but an LF may be far behind the next CR:
 * windows keep a stream of CRs alone from costing the square of its length. */
static const char *find_eol(const char *p, const char *end)
{
    while (p < end) {
        apr_size_t n = (apr_size_t)(end - p);
        const char *lf, *cr;

        if (n > SSE_EOL_WINDOW) {
            n = SSE_EOL_WINDOW;
        }
        lf = memchr(p, '\n', n);
        cr = memchr(p, '\r', lf ? (apr_size_t)(lf - p) : n);
        if (cr || lf) {
            return cr ? cr : lf;
        }
        p += n;
    }
    return NULL;
}

/* Skips what lies between events: the byte order mark, blank lines, comments. 1 if an event begins at *p. */
static int skip_between(aigw_sse_t *s, const char **p, const char *end)
{
    while (s->bom < BOM_DONE && *p < end) {
        if (**p != bom_bytes[s->bom]) {
            int partial = s->bom;

            s->bom = BOM_DONE;
            if (partial) { /* only looked like one: it is how the first line begins */
                s->lost = !append(&s->kept, s->max, bom_bytes, (apr_size_t)partial);
                return 1;
            }
            break;
        }
        ++s->bom;
        ++*p;
    }
    while (*p < end) {
        if (s->comment) {
            const char *eol = find_eol(*p, end);

            if (!eol) {
                *p = end;
                return 0;
            }
            s->comment = 0;
            *p = eol;
        }
        if (**p == ':') {
            s->comment = 1;
        }
        else if (**p != '\n' && **p != '\r') {
            return 1;
        }
        ++*p;
    }
    return 0;
}

/* Notes what one line of the event says. Its bytes are event[at, at + len), without the line end. 0 if there is no memory. */
static int take_line(aigw_sse_t *s, const char *event, apr_size_t at, apr_size_t len)
{
    const char *line = event + at, *colon = memchr(line, ':', len);
    apr_size_t name_len = colon ? (apr_size_t)(colon - line) : len;
    apr_size_t value = colon ? name_len + 1 : len;

    if (value < len && line[value] == ' ') {
        ++value;
    }
    if (name_len == 5 && memcmp(line, "event", 5) == 0) {
        s->has_event = 1;
        s->event_at = at + value;
        s->event_len = len - value;
    }
    else if (name_len == 4 && memcmp(line, "data", 4) == 0) {
        if (s->ndata == 0) {
            s->data_at = at + value;
            s->data_len = len - value;
        }
        else if ((s->ndata == 1 && !append(&s->joined, s->max, event + s->data_at, s->data_len)) || !append(&s->joined, s->max, "\n", 1) ||
                 !append(&s->joined, s->max, line + value, len - value)) {
            return 0;
        }
        s->ndata = s->ndata ? 2 : 1; /* "several" is all that matters */
    }
    return 1;
}

static void fill_event(const aigw_sse_t *s, const char *raw, apr_size_t raw_len, aigw_sse_event_t *ev)
{
    memset(ev, 0, sizeof(*ev));
    ev->raw = raw;
    ev->raw_len = raw_len;
    if (s->ndata == 1) {
        ev->data = raw + s->data_at;
        ev->data_len = s->data_len;
        ev->plain = raw_len == s->data_len + 8 && memcmp(raw, "data: ", 6) == 0 && memcmp(raw + raw_len - 2, "\n\n", 2) == 0;
    }
    else if (s->ndata > 1) {
        ev->data = s->joined.s;
        ev->data_len = s->joined.len;
    }
    if (s->has_event) {
        ev->event = raw + s->event_at;
        ev->event_len = s->event_len;
    }
}

static aigw_sse_step_e lose(aigw_sse_t *s)
{
    s->lost = 1;
    next_event(s);
    return AIGW_SSE_TOO_LONG;
}

/* Reads lines of the event up to its blank line. The event's bytes are kept and then those from `from` on; while nothing is kept,
 * offsets in the event are offsets from `from`. */
static aigw_sse_step_e read_event(aigw_sse_t *s, const char **p, const char *end, aigw_sse_event_t *ev)
{
    const char *from = *p, *q = from;

    while (q < end) {
        const char *eol, *event = from;
        apr_size_t upto;

        if (s->cr && *q == '\n') { /* the LF of a CRLF; it may be the first byte of an input */
            ++s->line;
            ++q;
        }
        s->cr = 0;
        eol = find_eol(q, end);
        if (!eol) {
            break;
        }
        q = eol + 1;
        s->cr = *eol == '\r';
        if (s->kept.len) {
            if (!append(&s->kept, s->max, from, (apr_size_t)(q - from))) {
                return lose(s);
            }
            from = q;
            event = s->kept.s;
        }
        upto = s->kept.len ? s->kept.len : (apr_size_t)(q - from);
        if (upto > s->max) {
            return lose(s);
        }
        if (upto - s->line == 1) {
            *p = q;
            fill_event(s, event, upto, ev);
            s->done = 1;
            return AIGW_SSE_EVENT;
        }
        if (!take_line(s, event, s->line, upto - s->line - 1)) {
            return lose(s);
        }
        s->line = upto;
    }
    if (!append(&s->kept, s->max, from, (apr_size_t)(end - from))) {
        return lose(s);
    }
    *p = end;
    return AIGW_SSE_MORE;
}

aigw_sse_step_e aigw_sse_feed(aigw_sse_t *s, const char **p, const char *end, aigw_sse_event_t *ev)
{
    aigw_sse_step_e step = AIGW_SSE_MORE;

    if (s->done) {
        next_event(s);
    }
    if (!s->lost && (s->kept.len || skip_between(s, p, end))) {
        step = s->lost ? AIGW_SSE_TOO_LONG : read_event(s, p, end, ev);
    }
    if (s->lost) {
        *p = end;
        return AIGW_SSE_TOO_LONG;
    }
    return step;
}

apr_size_t aigw_sse_pending(const aigw_sse_t *s)
{
    if (s->done || s->lost) {
        return 0;
    }
    return s->kept.len + (s->bom < BOM_DONE ? (apr_size_t)s->bom : 0);
}
