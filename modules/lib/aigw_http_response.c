/* Reader of an upstream's response; see aigw_http_response.h.
 *
 * A line that lies in one input is read where it is; only one that straddles inputs is copied, into a buffer that grows from the pool by
 * doubling, so that its garbage is bounded by twice AIGW_HTTP_LINE_MAX. Body bytes are never copied.
 */
#include "aigw_http_response.h"

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#define LENGTH_MAX    ((apr_int64_t)1 << 62) /* far from overflow, farther from any real body */
#define HEX_DIGITS    16                     /* of a chunk size, leading zeros included */
#define LINE_ROOM_MIN 256

typedef enum {
    ST_STATUS,     /* the status line */
    ST_FIELDS,     /* header fields */
    ST_LENGTH,     /* `left` body bytes */
    ST_CLOSE,      /* body bytes until the upstream closes */
    ST_CHUNK_SIZE, /* the line of a chunk's size */
    ST_CHUNK,      /* `left` bytes of a chunk */
    ST_CHUNK_END,  /* the line end after a chunk */
    ST_TRAILERS,
    ST_DONE,
    ST_BAD
} state_e;

struct aigw_http_response_t {
    apr_pool_t *pool;
    state_e state;
    const char *why;
    int head_only;
    int started;
    int blank;   /* an empty line before the status line was let pass */
    int interim; /* 1xx responses so far */
    int closed;  /* eof() was called */

    char *line; /* the beginning of a line that straddles inputs */
    apr_size_t line_len, line_room;

    /* of the head being read */
    apr_size_t head_bytes;
    int nfields;
    int minor; /* HTTP/1.<minor> */
    int code;
    int chunked;
    int says_close, says_keep_alive;
    apr_int64_t content_length; /* -1: none */

    /* of the final head */
    int status; /* 0 until it is complete */
    int until_close;
    int no_reuse; /* the head contradicts itself about a body that it cannot have */
    apr_off_t length;
    apr_table_t *headers;

    apr_uint64_t left; /* body or chunk bytes to come */
};

aigw_http_response_t *aigw_http_response_make(apr_pool_t *p, int head_only)
{
    aigw_http_response_t *h = apr_pcalloc(p, sizeof(*h));

    h->pool = p;
    h->head_only = head_only;
    h->length = -1;
    h->content_length = -1;
    h->headers = apr_table_make(p, 8);
    return h;
}

static int bad(aigw_http_response_t *h, const char *why)
{
    h->state = ST_BAD;
    h->why = why;
    return 0;
}

/* ---- characters ---- */

static int is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* No control characters, so neither CR nor NUL: what is logged or passed on must not be able to begin a line. */
static int is_field_text(const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; ++i) {
        unsigned char c = (unsigned char)s[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return 0;
        }
    }
    return 1;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void trim(const char **s, apr_size_t *len)
{
    while (*len && is_blank(**s)) {
        ++*s;
        --*len;
    }
    while (*len && is_blank((*s)[*len - 1])) {
        --*len;
    }
}

static int is_word(const char *s, apr_size_t len, const char *word)
{
    return strlen(word) == len && apr_cstr_casecmpn(s, word, len) == 0;
}

/* The next element of a comma-separated list, trimmed. *list becomes NULL after the last. 0 at the end. */
static int next_element(const char **list, apr_size_t *len, const char **element, apr_size_t *element_len)
{
    const char *comma;

    if (!*list) {
        return 0;
    }
    comma = *len ? memchr(*list, ',', *len) : NULL;
    *element = *list;
    *element_len = comma ? (apr_size_t)(comma - *list) : *len;
    *len -= *element_len + (comma ? 1 : 0);
    *list = comma ? comma + 1 : NULL;
    trim(element, element_len);
    return 1;
}

/* ---- lines ---- */

static void keep_line(aigw_http_response_t *h, const char *from, apr_size_t n)
{
    if (h->line_len + n > h->line_room) {
        apr_size_t room = h->line_room ? h->line_room : LINE_ROOM_MIN;
        char *grown;

        while (room < h->line_len + n) {
            room *= 2;
        }
        grown = apr_palloc(h->pool, room);
        if (h->line_len) {
            memcpy(grown, h->line, h->line_len);
        }
        h->line = grown;
        h->line_room = room;
    }
    memcpy(h->line + h->line_len, from, n);
    h->line_len += n;
}

/* Takes a whole line from the input: 1 and the line without its end, or 0 if it is not all there or too long (then the state is bad). */
static int take_line(aigw_http_response_t *h, const char **p, const char *end, const char **line, apr_size_t *len)
{
    apr_size_t allowed = AIGW_HTTP_LINE_MAX - h->line_len, n = (apr_size_t)(end - *p);
    const char *lf;

    if (n == 0) {
        return 0;
    }
    if (h->state == ST_CHUNK_END && h->line_len == 0 && **p != '\r' && **p != '\n') { /* not to be waited for until a line ends */
        return bad(h, "a chunk is longer than it says");
    }
    if (n > allowed) {
        n = allowed;
    }
    lf = memchr(*p, '\n', n);
    if (!lf && n == allowed) {
        return bad(h, "a line is too long");
    }
    if (lf) {
        n = (apr_size_t)(lf + 1 - *p);
    }
    *line = *p;
    *len = n;
    if (!lf || h->line_len) {
        keep_line(h, *p, n);
        *line = h->line;
        *len = h->line_len;
    }
    *p += n;
    if (!lf) {
        return 0;
    }
    h->line_len = 0; /* the bytes stay where they are until the next line is kept */
    h->head_bytes += *len;
    if (h->head_bytes > AIGW_HTTP_HEAD_MAX) {
        return bad(h, h->state == ST_TRAILERS ? "the trailers are too long" : "the head is too long");
    }
    --*len;
    if (*len && (*line)[*len - 1] == '\r') {
        --*len;
    }
    if (*len && memchr(*line, '\r', *len)) {
        return bad(h, "a carriage return stands inside a line");
    }
    return 1;
}

/* ---- the head ---- */

static void begin_head(aigw_http_response_t *h)
{
    h->state = ST_STATUS;
    h->head_bytes = 0;
    h->nfields = 0;
    h->minor = h->code = 0;
    h->chunked = h->says_close = h->says_keep_alive = 0;
    h->content_length = -1;
}

static int read_status_line(aigw_http_response_t *h, const char *s, apr_size_t len)
{
    if (len == 0) {
        return h->blank++ ? bad(h, "empty lines stand before the status line") : 1;
    }
    if (len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || !apr_isdigit(s[7]) || s[8] != ' ' || !apr_isdigit(s[9]) || !apr_isdigit(s[10]) ||
        !apr_isdigit(s[11]) || (len > 12 && s[12] != ' ')) {
        return bad(h, "the status line is not one of HTTP/1.x");
    }
    if (!is_field_text(s + 12, len - 12)) {
        return bad(h, "the reason phrase has a control character");
    }
    h->minor = s[7] - '0';
    h->code = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
    if (h->code < 100) {
        return bad(h, "the status is below 100");
    }
    if (h->code == 101) {
        return bad(h, "the upstream switches protocols without having been asked");
    }
    if (h->code < 200 && ++h->interim > AIGW_HTTP_INTERIM_MAX) {
        return bad(h, "too many interim responses");
    }
    h->state = ST_FIELDS;
    return 1;
}

/* One Content-Length, or -1. */
static apr_int64_t read_length(const char *s, apr_size_t len)
{
    apr_int64_t n = 0;
    apr_size_t i;

    for (i = 0; i < len; ++i) {
        if (!apr_isdigit(s[i]) || n > (LENGTH_MAX - (s[i] - '0')) / 10) {
            return -1;
        }
        n = n * 10 + (s[i] - '0');
    }
    return len ? n : -1;
}

static int read_content_length(aigw_http_response_t *h, const char *value, apr_size_t len)
{
    const char *element;
    apr_size_t element_len;

    while (next_element(&value, &len, &element, &element_len)) {
        apr_int64_t n = read_length(element, element_len);

        if (n < 0) {
            return bad(h, "Content-Length is not a number");
        }
        if (h->content_length >= 0 && h->content_length != n) {
            return bad(h, "two values of Content-Length differ");
        }
        h->content_length = n;
    }
    return 1;
}

static int read_transfer_encoding(aigw_http_response_t *h, const char *value, apr_size_t len)
{
    if (h->chunked || !is_word(value, len, "chunked")) {
        return bad(h, "Transfer-Encoding is not \"chunked\"");
    }
    h->chunked = 1;
    return 1;
}

static int read_connection(aigw_http_response_t *h, const char *value, apr_size_t len)
{
    const char *element;
    apr_size_t element_len;

    while (next_element(&value, &len, &element, &element_len)) {
        if (is_word(element, element_len, "close")) {
            h->says_close = 1;
        }
        else if (is_word(element, element_len, "keep-alive")) {
            h->says_keep_alive = 1;
        }
    }
    return 1;
}

/* Checks a field line and finds its parts. Trailers are checked in the same way. */
static int split_field(aigw_http_response_t *h, const char *s, apr_size_t len, apr_size_t *name_len, const char **value,
                       apr_size_t *value_len)
{
    apr_size_t n = 0;

    if (++h->nfields > AIGW_HTTP_FIELDS_MAX) {
        return bad(h, "too many header fields");
    }
    if (is_blank(s[0])) {
        return bad(h, "a header field is folded");
    }
    while (n < len && is_token_char((unsigned char)s[n])) {
        ++n;
    }
    if (n == 0 || n == len || s[n] != ':') {
        return bad(h, "a header field has no valid name");
    }
    *name_len = n;
    *value = s + n + 1;
    *value_len = len - n - 1;
    if (!is_field_text(*value, *value_len)) {
        return bad(h, "a header field has a control character");
    }
    trim(value, value_len);
    return 1;
}

static int read_field(aigw_http_response_t *h, const char *s, apr_size_t len)
{
    apr_size_t name_len, value_len;
    const char *value;

    if (!split_field(h, s, len, &name_len, &value, &value_len)) {
        return 0;
    }
    if (h->code >= 200) {
        apr_table_addn(h->headers, apr_pstrmemdup(h->pool, s, name_len), apr_pstrmemdup(h->pool, value, value_len));
    }
    if (is_word(s, name_len, "Content-Length")) {
        return read_content_length(h, value, value_len);
    }
    if (is_word(s, name_len, "Transfer-Encoding")) {
        return read_transfer_encoding(h, value, value_len);
    }
    if (is_word(s, name_len, "Connection")) {
        return read_connection(h, value, value_len);
    }
    return 1;
}

/* RFC 9112, section 6.3: how the body ends. */
static void begin_body(aigw_http_response_t *h)
{
    h->status = h->code;
    h->length = h->content_length;
    if (h->head_only || h->code == 204 || h->code == 304) {
        h->state = ST_DONE;
        h->length = 0;
        /* a 204 that announces a body may well send it: its bytes must not become the next response */
        h->no_reuse = h->code == 204 && (h->chunked || h->content_length > 0);
    }
    else if (h->chunked) {
        h->state = ST_CHUNK_SIZE;
    }
    else if (h->content_length >= 0) {
        h->left = (apr_uint64_t)h->content_length;
        h->state = h->left ? ST_LENGTH : ST_DONE;
    }
    else {
        h->until_close = 1;
        h->state = ST_CLOSE;
    }
}

/* The empty line after the fields: 1 if this was the final head. */
static int end_head(aigw_http_response_t *h)
{
    if (h->chunked && h->content_length >= 0) {
        return bad(h, "Transfer-Encoding and Content-Length contradict each other");
    }
    if (h->chunked && h->minor == 0) {
        return bad(h, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (h->code < 200) {
        begin_head(h);
        return 0;
    }
    begin_body(h);
    return 1;
}

/* ---- the body ---- */

static int hex_value(char c)
{
    if (apr_isdigit(c)) {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_chunk_size(aigw_http_response_t *h, const char *s, apr_size_t len)
{
    apr_uint64_t size = 0;
    apr_size_t i;

    for (i = 0; i < len && hex_value(s[i]) >= 0; ++i) {
        if (i == HEX_DIGITS) {
            return bad(h, "a chunk size is too long");
        }
        size = size << 4 | (apr_uint64_t)hex_value(s[i]);
    }
    if (i == 0) {
        return bad(h, "a chunk has no size");
    }
    if (size > (apr_uint64_t)LENGTH_MAX) {
        return bad(h, "a chunk is too large");
    }
    while (i < len && is_blank(s[i])) {
        ++i;
    }
    if (i < len && (s[i] != ';' || !is_field_text(s + i, len - i))) {
        return bad(h, "a chunk size is followed by something else");
    }
    h->left = size;
    h->state = size ? ST_CHUNK : ST_TRAILERS;
    h->head_bytes = 0;
    h->nfields = 0;
    return 1;
}

static int read_trailer(aigw_http_response_t *h, const char *s, apr_size_t len)
{
    apr_size_t name_len, value_len;
    const char *value;

    if (len == 0) {
        h->state = ST_DONE;
        return 1;
    }
    return split_field(h, s, len, &name_len, &value, &value_len);
}

static aigw_http_step_e give_body(aigw_http_response_t *h, const char **p, const char *end, aigw_http_body_t *body)
{
    apr_size_t n = (apr_size_t)(end - *p);

    if (h->state != ST_CLOSE) {
        if (n > h->left) {
            n = (apr_size_t)h->left;
        }
        h->left -= n;
        if (h->left == 0) {
            h->state = h->state == ST_CHUNK ? ST_CHUNK_END : ST_DONE;
        }
    }
    body->data = *p;
    body->len = n;
    *p += n;
    return AIGW_HTTP_BODY;
}

/* ---- the doors ---- */

/* One line in a state that reads lines. 1 if it completed the final head. */
static int read_line(aigw_http_response_t *h, const char *line, apr_size_t len)
{
    switch (h->state) {
    case ST_STATUS:
        read_status_line(h, line, len);
        return 0;
    case ST_FIELDS:
        if (len == 0) {
            return end_head(h);
        }
        read_field(h, line, len);
        return 0;
    case ST_CHUNK_SIZE:
        read_chunk_size(h, line, len);
        return 0;
    case ST_CHUNK_END: /* an empty line: take_line() has seen to it */
        h->state = ST_CHUNK_SIZE;
        return 0;
    default:
        read_trailer(h, line, len);
        return 0;
    }
}

aigw_http_step_e aigw_http_response_feed(aigw_http_response_t *h, const char **p, const char *end, aigw_http_body_t *body)
{
    body->data = NULL;
    body->len = 0;
    h->started |= *p != end;
    for (;;) {
        const char *line;
        apr_size_t len;

        switch (h->state) {
        case ST_DONE:
            return AIGW_HTTP_DONE;
        case ST_BAD:
            return AIGW_HTTP_BAD;
        case ST_LENGTH:
        case ST_CHUNK:
        case ST_CLOSE:
            return *p == end ? AIGW_HTTP_MORE : give_body(h, p, end, body);
        default:
            if (take_line(h, p, end, &line, &len)) {
                if (read_line(h, line, len)) {
                    return AIGW_HTTP_HEAD;
                }
            }
            else if (h->state != ST_BAD) {
                return AIGW_HTTP_MORE;
            }
        }
    }
}

static const char *cut_where(const aigw_http_response_t *h)
{
    switch (h->state) {
    case ST_STATUS:
        if (!h->started) {
            return "the upstream closed without a response";
        }
        return h->interim ? "the upstream closed after an interim response" : "the upstream closed inside the status line";
    case ST_FIELDS:
        return "the upstream closed inside the head";
    case ST_LENGTH:
        return "the upstream closed before the end of the body";
    case ST_TRAILERS:
        return "the upstream closed inside the trailers";
    default:
        return "the upstream closed before the last chunk";
    }
}

aigw_http_step_e aigw_http_response_eof(aigw_http_response_t *h)
{
    h->closed = 1;
    if (h->state == ST_CLOSE) {
        h->state = ST_DONE;
    }
    if (h->state != ST_DONE && h->state != ST_BAD) {
        bad(h, cut_where(h));
    }
    return h->state == ST_DONE ? AIGW_HTTP_DONE : AIGW_HTTP_BAD;
}

int aigw_http_response_status(const aigw_http_response_t *h)
{
    return h->status;
}

const apr_table_t *aigw_http_response_headers(const aigw_http_response_t *h)
{
    return h->headers;
}

const char *aigw_http_response_why(const aigw_http_response_t *h)
{
    return h->why;
}

int aigw_http_response_started(const aigw_http_response_t *h)
{
    return h->started;
}

int aigw_http_response_reusable(const aigw_http_response_t *h)
{
    if (h->state != ST_DONE || h->closed || h->until_close || h->no_reuse || h->says_close) {
        return 0;
    }
    return h->minor > 0 || h->says_keep_alive;
}

apr_off_t aigw_http_response_length(const aigw_http_response_t *h)
{
    return h->length;
}
