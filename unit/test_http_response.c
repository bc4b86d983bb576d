/* aigw_http_response */
#include "suites.h"
#include "splits.h"
#include "aigw_http_response.h"

#include <apr_strings.h>
#include <string.h>

/* ---- what a reader finds, in words ----
 * "200 len=5 {A: b}{C: d} <hello> DONE keep rest=0": the head once it is complete, the body's bytes, how it ended, whether the
 * connection may be used again, and how much of the input was left alone. BAD is followed by why. With .eof the upstream closes after the
 * input. */

typedef struct setting_t {
    int head_only, eof;
} setting_t;

typedef struct found_t {
    apr_pool_t *p;
    const setting_t *setting;
    aigw_http_response_t *h;
    aigw_http_step_e step;
    char *head;
    apr_size_t fed, used;
    apr_size_t body_len;
    char body[4096];
} found_t;

static void *make(apr_pool_t *p, const void *setting)
{
    found_t *f = apr_pcalloc(p, sizeof(*f));

    f->p = p;
    f->setting = setting;
    f->h = aigw_http_response_make(p, f->setting->head_only);
    f->head = apr_pstrdup(p, "");
    MUST(aigw_http_response_started(f->h) == 0);
    MUST(aigw_http_response_status(f->h) == 0);
    MUST(aigw_http_response_length(f->h) == -1);
    return f;
}

static int add_field(void *data, const char *name, const char *value)
{
    found_t *f = data;

    f->head = apr_pstrcat(f->p, f->head, "{", name, ": ", value, "}", NULL);
    return 1;
}

static void take_head(found_t *f)
{
    MUST(!f->head[0]);
    f->head = apr_psprintf(f->p, "%d len=%" APR_OFF_T_FMT " ", aigw_http_response_status(f->h), aigw_http_response_length(f->h));
    apr_table_do(add_field, f, aigw_http_response_headers(f->h), NULL);
}

static void feed(void *parser, const char *piece, apr_size_t len)
{
    found_t *f = parser;
    const char *at = piece, *end = piece + len;
    aigw_http_body_t body;

    f->fed += len;
    do {
        const char *before = at;

        f->step = aigw_http_response_feed(f->h, &at, end, &body);
        MUST(at >= before && at <= end);
        if (f->step == AIGW_HTTP_HEAD) {
            take_head(f);
        }
        else if (f->step == AIGW_HTTP_BODY) {
            MUST(body.len > 0 && body.data == before + (at - before) - body.len);
            MUST(f->body_len + body.len <= sizeof(f->body));
            memcpy(f->body + f->body_len, body.data, body.len);
            f->body_len += body.len;
        }
        else {
            MUST(!body.data);
        }
    } while (f->step == AIGW_HTTP_HEAD || f->step == AIGW_HTTP_BODY);
    if (f->step == AIGW_HTTP_MORE) {
        MUST(at == end);
    }
    f->used += (apr_size_t)(at - piece);
    if (f->fed > 0) {
        MUST(aigw_http_response_started(f->h) == 1);
    }
}

static const char *finish(void *parser)
{
    found_t *f = parser;
    const char *text = f->head;

    if (f->setting->eof) {
        f->step = aigw_http_response_eof(f->h);
        MUST(aigw_http_response_reusable(f->h) == 0);
    }
    if (f->body_len) {
        text = apr_pstrcat(f->p, text, " <", apr_pstrmemdup(f->p, f->body, f->body_len), ">", NULL);
    }
    switch (f->step) {
    case AIGW_HTTP_MORE:
        return apr_pstrcat(f->p, text, " MORE", NULL);
    case AIGW_HTTP_DONE:
        return apr_psprintf(f->p, "%s DONE %s rest=%lu", text, aigw_http_response_reusable(f->h) ? "keep" : "close",
                            (unsigned long)(f->fed - f->used));
    default:
        MUST(f->step == AIGW_HTTP_BAD);
        MUST(aigw_http_response_reusable(f->h) == 0);
        return apr_pstrcat(f->p, text, " BAD ", aigw_http_response_why(f->h), NULL);
    }
}

static const splits_subject_t subject = {make, feed, finish};
static const setting_t plain = {0, 0}, head_only = {1, 0}, closed = {0, 1}, head_closed = {1, 1};

static void check(const setting_t *setting, const char *text, const char *expected)
{
    splits_check(&subject, setting, text, text, strlen(text), expected);
}

#define OK   "HTTP/1.1 200 OK\r\n"
#define TE   "Transfer-Encoding: chunked\r\n"
#define TE_F "{Transfer-Encoding: chunked}"

/* ---- bodies ---- */

START_TEST(a_body_of_known_length_ends_there)
{
    check(&plain, OK "Content-Length: 5\r\n\r\nhello", "200 len=5 {Content-Length: 5} <hello> DONE keep rest=0");
    check(&plain, OK "Content-Length: 5\r\n\r\nhelloHTTP", "200 len=5 {Content-Length: 5} <hello> DONE keep rest=4");
    check(&plain, OK "Content-Length: 5\r\n\r\nhell", "200 len=5 {Content-Length: 5} <hell> MORE");
    check(&plain, OK "Content-Length: 0\r\n\r\n", "200 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, OK "Content-Length: 4611686018427387904\r\n\r\nx",
          "200 len=4611686018427387904 {Content-Length: 4611686018427387904} <x> MORE");
    check(&closed, OK "Content-Length: 5\r\n\r\nhell",
          "200 len=5 {Content-Length: 5} <hell> BAD the upstream closed before the end of the body");
    check(&closed, OK "Content-Length: 5\r\n\r\nhello", "200 len=5 {Content-Length: 5} <hello> DONE close rest=0");
}
END_TEST

START_TEST(a_body_without_length_ends_when_the_upstream_closes)
{
    check(&plain, OK "\r\nhello", "200 len=-1  <hello> MORE");
    check(&closed, OK "\r\nhello", "200 len=-1  <hello> DONE close rest=0");
    check(&closed, OK "\r\n", "200 len=-1  DONE close rest=0");
}
END_TEST

START_TEST(chunks_are_taken_apart)
{
    check(&plain, OK TE "\r\n5\r\nhello\r\n0\r\n\r\n", "200 len=-1 " TE_F " <hello> DONE keep rest=0");
    check(&plain, OK TE "\r\n5\r\nhello\r\n6\r\n world\r\n000\r\n\r\nX", "200 len=-1 " TE_F " <hello world> DONE keep rest=1");
    check(&plain, OK TE "\r\na\r\n0123456789\r\nA\r\n0123456789\r\n00000000000001f\r\n0123456789012345678901234567890\r\n0\r\n\r\n",
          "200 len=-1 " TE_F " <012345678901234567890123456789012345678901234567890> DONE keep rest=0");
    check(&plain, OK TE "\r\n5;name=value;x=\"y z\"\r\nhello\r\n0 ; last\r\n\r\n", "200 len=-1 " TE_F " <hello> DONE keep rest=0");
    check(&plain, OK TE "\r\n5 \t\r\nhello\r\n0\r\n\r\n", "200 len=-1 " TE_F " <hello> DONE keep rest=0");
    check(&plain, OK "transfer-encoding:CHUNKED\n\n5\nhello\n0\n\n", "200 len=-1 {transfer-encoding: CHUNKED} <hello> DONE keep rest=0");
    check(&plain, OK TE "\r\n4000000000000000\r\nx", "200 len=-1 " TE_F " <x> MORE");
}
END_TEST

START_TEST(broken_chunks_are_bad)
{
#define CHUNKED "200 len=-1 " TE_F
    check(&plain, OK TE "\r\n\r\n", CHUNKED " BAD a chunk has no size");
    check(&plain, OK TE "\r\nx\r\n", CHUNKED " BAD a chunk has no size");
    check(&plain, OK TE "\r\n-1\r\n", CHUNKED " BAD a chunk has no size");
    check(&plain, OK TE "\r\n 5\r\n", CHUNKED " BAD a chunk has no size");
    check(&plain, OK TE "\r\n;x\r\n", CHUNKED " BAD a chunk has no size");
    check(&plain, OK TE "\r\n0x5\r\n", CHUNKED " BAD a chunk size is followed by something else");
    check(&plain, OK TE "\r\n5 5\r\nhello", CHUNKED " BAD a chunk size is followed by something else");
    check(&plain, OK TE "\r\n5;\x01\r\n", CHUNKED " BAD a chunk size is followed by something else");
    check(&plain, OK TE "\r\n5\r;\r\n", CHUNKED " BAD a carriage return stands inside a line");
    check(&plain, OK TE "\r\n4000000000000001\r\n", CHUNKED " BAD a chunk is too large");
    check(&plain, OK TE "\r\nffffffffffffffff\r\n", CHUNKED " BAD a chunk is too large");
    check(&plain, OK TE "\r\n10000000000000005\r\n", CHUNKED " BAD a chunk size is too long");
    check(&plain, OK TE "\r\n00000000000000005\r\n", CHUNKED " BAD a chunk size is too long");
    check(&plain, OK TE "\r\n5\r\nhellox", CHUNKED " <hello> BAD a chunk is longer than it says");
    check(&plain, OK TE "\r\n5\r\nhello5\r\n", CHUNKED " <hello> BAD a chunk is longer than it says");
    check(&plain, OK TE "\r\n5\r\nhello\rx\n", CHUNKED " <hello> BAD a carriage return stands inside a line");
    check(&closed, OK TE "\r\n", CHUNKED " BAD the upstream closed before the last chunk");
    check(&closed, OK TE "\r\n5\r\nhel", CHUNKED " <hel> BAD the upstream closed before the last chunk");
    check(&closed, OK TE "\r\n5\r\nhello\r\n", CHUNKED " <hello> BAD the upstream closed before the last chunk");
    check(&closed, OK TE "\r\n5\r\nhello\r\n0\r\n", CHUNKED " <hello> BAD the upstream closed inside the trailers");
}
END_TEST

START_TEST(trailers_are_checked_and_dropped)
{
    check(&plain, OK TE "\r\n0\r\nA: b\r\nContent-Length: 7\r\nConnection: close\r\n\r\nX", CHUNKED " DONE keep rest=1");
    check(&plain, OK TE "\r\n0\r\nA\r\n", CHUNKED " BAD a header field has no valid name");
    check(&plain, OK TE "\r\n0\r\nA: b\r\n c\r\n", CHUNKED " BAD a header field is folded");
    check(&plain, OK TE "\r\n0\r\nA: \x7f\r\n", CHUNKED " BAD a header field has a control character");
}
END_TEST

START_TEST(some_responses_have_no_body)
{
    check(&head_only, OK "Content-Length: 5\r\n\r\nX", "200 len=0 {Content-Length: 5} DONE keep rest=1");
    check(&head_only, OK TE "\r\nX", "200 len=0 " TE_F " DONE keep rest=1");
    check(&head_only, OK "\r\n", "200 len=0  DONE keep rest=0");
    check(&head_closed, OK "\r\n", "200 len=0  DONE close rest=0");
    check(&plain, "HTTP/1.1 204 No Content\r\n\r\nX", "204 len=0  DONE keep rest=1");
    check(&plain, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nX", "304 len=0 {Content-Length: 5} DONE keep rest=1");
    /* these bytes may be a body in spite of the status: nothing may be read after them */
    check(&plain, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204 len=0 {Content-Length: 5} DONE close rest=5");
    check(&plain, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "HTTP/1.1 204 No Content\r\n" TE "\r\n0\r\n\r\n", "204 len=0 " TE_F " DONE close rest=5");
}
END_TEST

/* ---- heads ---- */

START_TEST(status_lines_are_read)
{
    check(&plain, "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "404 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "404 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "HTTP/1.9 999 gr\xc3\xbc\xc3\x9f\t!\nContent-Length: 0\n\n", "999 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "", " MORE");
    check(&plain, "HTTP/1.1 20", " MORE");
}
END_TEST

START_TEST(other_status_lines_are_bad)
{
    static const char *const lines[] = {
        "HTTP/1.1 20\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 200OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1\t200 OK\r\n",
        "HTTP/1.x 200 OK\r\n",
        "HTTP/1.10 200 OK\r\n",
        "HTTP/2.0 200 OK\r\n",
        "HTTP/1 200 OK\r\n",
        "http/1.1 200 OK\r\n",
        "HTTP/1.1 -20 OK\r\n",
        "HTTP/1.1 2 0 OK\r\n",
        " HTTP/1.1 200 OK\r\n",
        "ICY 200 OK12345\r\n",
        "<html>12345678\r\n",
        "HTTP/1.1 200\tOK\r\n",
        "x\n",
        "HTTP/1.1 +20 OK\r\n",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(lines) / sizeof(*lines); ++i) {
        check(&plain, lines[i], " BAD the status line is not one of HTTP/1.x");
    }
    check(&plain, "HTTP/1.1 099 OK\r\n", " BAD the status is below 100");
    check(&plain, "HTTP/1.1 000 OK\r\n", " BAD the status is below 100");
    check(&plain, "HTTP/1.1 101 Switching\r\n", " BAD the upstream switches protocols without having been asked");
    check(&plain, "HTTP/1.1 200 O\x01K\r\n", " BAD the reason phrase has a control character");
    check(&plain, "HTTP/1.1 200 O\rK\r\n", " BAD a carriage return stands inside a line");
    check(&plain, "HTTP/1.1 200 OK\r\r\n", " BAD a carriage return stands inside a line");
    check(&plain, "\r\n\r\nHTTP/1.1 200 OK\r\n", " BAD empty lines stand before the status line");
    check(&plain, "\n\n", " BAD empty lines stand before the status line");
}
END_TEST

START_TEST(a_nul_anywhere_in_the_head_is_bad)
{
    static const char status[] = "HTTP/1.1 200 O\0K\r\n", name[] = OK "A\0: b\r\n", value[] = OK "A: b\0\r\n";

    splits_check(&subject, &plain, "status", status, sizeof(status) - 1, " BAD the reason phrase has a control character");
    splits_check(&subject, &plain, "name", name, sizeof(name) - 1, " BAD a header field has no valid name");
    splits_check(&subject, &plain, "value", value, sizeof(value) - 1, " BAD a header field has a control character");
}
END_TEST

START_TEST(fields_are_kept_as_they_came)
{
    check(&plain, OK "X-One: 1\r\nx-one:2\r\nEmpty:\r\nBlank: \t \r\nPadded: \t a b \t\r\nContent-Length: 0\r\n\r\n",
          "200 len=0 {X-One: 1}{x-one: 2}{Empty: }{Blank: }{Padded: a b}{Content-Length: 0} DONE keep rest=0");
    check(&plain, OK "!#$%&'*+-.^_`|~09azAZ: \xff\x80\r\nContent-Length: 0\r\n\r\n",
          "200 len=0 {!#$%&'*+-.^_`|~09azAZ: \xff\x80}{Content-Length: 0} DONE keep rest=0");
    check(&plain, OK "Url: http://x:1/\nContent-Length: 0\n\n", "200 len=0 {Url: http://x:1/}{Content-Length: 0} DONE keep rest=0");
}
END_TEST

START_TEST(broken_fields_are_bad)
{
    check(&plain, OK "A b\r\n", " BAD a header field has no valid name");
    check(&plain, OK "A : b\r\n", " BAD a header field has no valid name");
    check(&plain, OK "A\t: b\r\n", " BAD a header field has no valid name");
    check(&plain, OK ": b\r\n", " BAD a header field has no valid name");
    check(&plain, OK "A\r\n", " BAD a header field has no valid name");
    check(&plain, OK "A(: b\r\n", " BAD a header field has no valid name");
    check(&plain, OK "\xc3\xbc: b\r\n", " BAD a header field has no valid name");
    check(&plain, OK "A: b\r\n c\r\n", " BAD a header field is folded");
    check(&plain, OK "\tA: b\r\n", " BAD a header field is folded");
    check(&plain, OK "A: b\x01\r\n", " BAD a header field has a control character");
    check(&plain, OK "A: b\rc\r\n", " BAD a carriage return stands inside a line");
    check(&plain, OK "A: b\r\r\n", " BAD a carriage return stands inside a line");
    check(&closed, OK "A: b\r\n", " BAD the upstream closed inside the head");
    check(&closed, "", " BAD the upstream closed without a response");
    check(&closed, "HTTP/1.1 2", " BAD the upstream closed inside the status line");
}
END_TEST

START_TEST(lengths_that_contradict_each_other_are_bad)
{
    check(&plain, OK "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
          "200 len=5 {Content-Length: 5}{content-length: 5} <hello> DONE keep rest=0");
    check(&plain, OK "Content-Length: 5, 5 ,\t05\r\n\r\nhello", "200 len=5 {Content-Length: 5, 5 ,\t05} <hello> DONE keep rest=0");
    check(&plain, OK "Content-Length: 5\r\nContent-Length: 6\r\n", " BAD two values of Content-Length differ");
    check(&plain, OK "Content-Length: 0\r\nContent-Length: 5\r\n", " BAD two values of Content-Length differ");
    check(&plain, OK "Content-Length: 5, 6\r\n", " BAD two values of Content-Length differ");
    check(&plain, OK "Content-Length: 5\r\n" TE "\r\n", " BAD Transfer-Encoding and Content-Length contradict each other");
    check(&plain, OK TE "Content-Length: 5\r\n\r\n", " BAD Transfer-Encoding and Content-Length contradict each other");
    check(&head_only, OK TE "Content-Length: 0\r\n\r\n", " BAD Transfer-Encoding and Content-Length contradict each other");
    check(&plain, "HTTP/1.0 200 OK\r\n" TE "\r\n", " BAD HTTP/1.0 has no Transfer-Encoding");
}
END_TEST

START_TEST(content_length_is_a_number)
{
    static const char *const values[] = {"",
                                         "x",
                                         "-5",
                                         "+5",
                                         "5x",
                                         "0x5",
                                         "5 5",
                                         "5,",
                                         ",5",
                                         "5,,5",
                                         "5.0",
                                         "1e3",
                                         "\"5\"",
                                         "4611686018427387905",
                                         "99999999999999999999999999999999999"};
    apr_size_t i;

    for (i = 0; i < sizeof(values) / sizeof(*values); ++i) {
        char text[100];

        apr_snprintf(text, sizeof(text), OK "Content-Length: %s\r\n", values[i]);
        check(&plain, text, " BAD Content-Length is not a number");
    }
}
END_TEST

START_TEST(transfer_encoding_is_chunked_or_bad)
{
    static const char *const values[] = {"",         "gzip",     "identity",   "chunked, chunked", "gzip, chunked", "chunked;q=1",
                                         "xchunked", "chunked,", "\"chunked\""};
    apr_size_t i;

    for (i = 0; i < sizeof(values) / sizeof(*values); ++i) {
        char text[100];

        apr_snprintf(text, sizeof(text), OK "Transfer-Encoding: %s\r\n", values[i]);
        check(&plain, text, " BAD Transfer-Encoding is not \"chunked\"");
    }
    check(&plain, OK TE TE "\r\n", " BAD Transfer-Encoding is not \"chunked\"");
}
END_TEST

START_TEST(interim_responses_are_passed_over)
{
    check(&plain, "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 0\r\n\r\n", "200 len=0 {Content-Length: 0} DONE keep rest=0");
    check(&plain, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: close\r\n\r\nHTTP/1.1 102 P\r\n\r\n" OK TE "\r\n0\r\n\r\n",
          CHUNKED " DONE keep rest=0");
    check(&plain, "HTTP/1.1 100 Continue\r\n\r\n", " MORE");
    check(&closed, "HTTP/1.1 100 Continue\r\n\r\n", " BAD the upstream closed after an interim response");
    check(&plain, "HTTP/1.1 100 Continue\r\nA b\r\n", " BAD a header field has no valid name");
    check(&plain, "HTTP/1.1 103 E\r\nContent-Length: 7\r\n\r\n" OK TE "\r\n0\r\n\r\n", CHUNKED " DONE keep rest=0");
}
END_TEST

START_TEST(only_so_many_interim_responses)
{
    apr_pool_t *p;
    char *text;
    int i;

    apr_pool_create(&p, NULL);
    text = apr_pstrdup(p, "");
    for (i = 0; i < AIGW_HTTP_INTERIM_MAX; ++i) {
        text = apr_pstrcat(p, text, "HTTP/1.1 100 C\n\n", NULL);
    }
    check(&plain, apr_pstrcat(p, text, "HTTP/1.1 204 N\n\n", NULL), "204 len=0  DONE keep rest=0");
    check(&plain, apr_pstrcat(p, text, "HTTP/1.1 100 C\n\n", NULL), " BAD too many interim responses");
    apr_pool_destroy(p);
}
END_TEST

START_TEST(connections_are_kept_or_not)
{
#define EMPTY "Content-Length: 0\r\n"
#define LEN0  "len=0 {Content-Length: 0}"
#define OLD   "HTTP/1.0 200 OK\r\n"
    check(&plain, OK EMPTY "Connection: close\r\n\r\n", "200 " LEN0 "{Connection: close} DONE close rest=0");
    check(&plain, OK EMPTY "connection: x , CLOSE\r\n\r\n", "200 " LEN0 "{connection: x , CLOSE} DONE close rest=0");
    check(&plain, OK EMPTY "Connection: closed\r\n\r\n", "200 " LEN0 "{Connection: closed} DONE keep rest=0");
    check(&plain, OLD EMPTY "\r\n", "200 " LEN0 " DONE close rest=0");
    check(&plain, OLD EMPTY "Connection: Keep-Alive\r\n\r\n", "200 " LEN0 "{Connection: Keep-Alive} DONE keep rest=0");
    check(&plain, OLD EMPTY "Connection: keep-alive\r\nConnection: close\r\n\r\n",
          "200 " LEN0 "{Connection: keep-alive}{Connection: close} DONE close rest=0");
    check(&plain, OLD EMPTY "Connection:\r\n\r\n", "200 " LEN0 "{Connection: } DONE close rest=0");
}
END_TEST

/* ---- limits ---- */

/* A line of n bytes, CRLF included: prefix, many x, CRLF. */
static char *long_line(apr_pool_t *p, const char *prefix, apr_size_t n)
{
    char *line = apr_palloc(p, n + 1);

    memset(line, 'x', n);
    memcpy(line, prefix, strlen(prefix));
    memcpy(line + n - 2, "\r\n", 3);
    return line;
}

/* All at once, byte by byte, and a few sizes between: every cut of such a text would take minutes. */
static void check_large(const char *text, const char *expected)
{
    static const apr_size_t sizes[] = {1, 7, 1000, 4096, 16383, 16384, 16385, 10000000};
    apr_size_t len = strlen(text), i, at;

    for (i = 0; i < sizeof(sizes) / sizeof(*sizes); ++i) {
        apr_pool_t *p;
        void *f;
        const char *found;

        apr_pool_create(&p, NULL);
        f = make(p, &plain);
        for (at = 0; at < len; at += sizes[i]) {
            feed(f, text + at, len - at < sizes[i] ? len - at : sizes[i]);
        }
        found = finish(f);
        ck_assert_msg(strstr(found, expected) != NULL, "in pieces of %lu: found %.200s, expected %s", (unsigned long)sizes[i], found,
                      expected);
        apr_pool_destroy(p);
    }
}

START_TEST(lines_have_a_limit)
{
    apr_pool_t *p;
    char *endless;

    apr_pool_create(&p, NULL);
    check_large(apr_pstrcat(p, OK, long_line(p, "A: ", AIGW_HTTP_LINE_MAX), EMPTY "\r\n", NULL), " DONE keep rest=0");
    check_large(apr_pstrcat(p, OK, long_line(p, "A: ", AIGW_HTTP_LINE_MAX + 1), EMPTY "\r\n", NULL), " BAD a line is too long");
    check_large(apr_pstrcat(p, long_line(p, "HTTP/1.1 200 ", AIGW_HTTP_LINE_MAX + 1), EMPTY "\r\n", NULL), " BAD a line is too long");
    check_large(apr_pstrcat(p, OK TE "\r\n", long_line(p, "0;", AIGW_HTTP_LINE_MAX), "\r\n", NULL), " DONE keep rest=0");
    check_large(apr_pstrcat(p, OK TE "\r\n", long_line(p, "0;", AIGW_HTTP_LINE_MAX + 1), "\r\n", NULL), " BAD a line is too long");
    check_large(apr_pstrcat(p, OK TE "\r\n0\r\n", long_line(p, "A: ", AIGW_HTTP_LINE_MAX + 1), "\r\n", NULL), " BAD a line is too long");
    endless = long_line(p, "HTTP", 100000);
    endless[99998] = endless[99999] = 'x';
    check_large(endless, " BAD a line is too long");
    apr_pool_destroy(p);
}
END_TEST

START_TEST(heads_have_a_limit)
{
    apr_pool_t *p;
    char *line, *four;
    apr_size_t left = AIGW_HTTP_HEAD_MAX - strlen(OK) - 2 - strlen(EMPTY);

    apr_pool_create(&p, NULL);
    line = long_line(p, "A: ", 16000);
    four = apr_pstrcat(p, line, line, line, line, NULL);
    left -= 64000;
    check_large(apr_pstrcat(p, OK EMPTY, four, long_line(p, "B: ", left), "\r\n", NULL), " DONE keep rest=0");
    check_large(apr_pstrcat(p, OK EMPTY, four, long_line(p, "B: ", left + 1), "\r\n", NULL), " BAD the head is too long");
    check_large(apr_pstrcat(p, OK TE "\r\n0\r\n", four, line, "\r\n", NULL), " BAD the trailers are too long");
    /* each head and each chunk begins anew */
    check_large(apr_pstrcat(p, "HTTP/1.1 103 E\r\n", four, "\r\n" OK EMPTY, four, "\r\n", NULL), " DONE keep rest=0");
    line = apr_pstrcat(p, long_line(p, "1;", 16000), "x\r\n", NULL);
    check_large(apr_pstrcat(p, OK TE "\r\n", line, line, line, line, line, line, "0\r\n", four, "\r\n", NULL),
                " <xxxxxx> DONE keep rest=0");
    apr_pool_destroy(p);
}
END_TEST

START_TEST(heads_have_only_so_many_fields)
{
    apr_pool_t *p;
    char *fields;
    int i;

    apr_pool_create(&p, NULL);
    fields = apr_pstrdup(p, "");
    for (i = 1; i < AIGW_HTTP_FIELDS_MAX; ++i) {
        fields = apr_pstrcat(p, fields, "A: b\n", NULL);
    }
    check_large(apr_pstrcat(p, OK, fields, EMPTY "\r\n", NULL), " DONE keep rest=0");
    check_large(apr_pstrcat(p, OK, fields, EMPTY "C: d\r\n\r\n", NULL), " BAD too many header fields");
    check_large(apr_pstrcat(p, OK TE "\r\n0\r\n", fields, "C: d\r\n\r\n", NULL), " DONE keep rest=0");
    check_large(apr_pstrcat(p, OK TE "\r\n0\r\n", fields, "C: d\r\nE: f\r\n\r\n", NULL), " BAD too many header fields");
    apr_pool_destroy(p);
}
END_TEST

/* ---- states ---- */

START_TEST(a_reader_that_is_bad_or_done_stays_so)
{
    apr_pool_t *p;
    aigw_http_response_t *h;
    aigw_http_body_t body;
    const char *text = "HTTP/1.1 204 N\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", *at = text, *rest = text + 18, *end = text + strlen(text);

    apr_pool_create(&p, NULL);
    h = aigw_http_response_make(p, 0);
    ck_assert_int_eq(aigw_http_response_feed(h, &at, end, &body), AIGW_HTTP_HEAD);
    ck_assert_int_eq(aigw_http_response_status(h), 204);
    ck_assert_int_eq(aigw_http_response_feed(h, &at, end, &body), AIGW_HTTP_DONE);
    ck_assert_int_eq(aigw_http_response_feed(h, &at, end, &body), AIGW_HTTP_DONE);
    ck_assert_ptr_eq(at, rest);
    ck_assert_int_eq(aigw_http_response_status(h), 204);
    ck_assert_int_eq(aigw_http_response_reusable(h), 1);
    ck_assert_int_eq(aigw_http_response_eof(h), AIGW_HTTP_DONE);
    ck_assert_int_eq(aigw_http_response_reusable(h), 0);

    h = aigw_http_response_make(p, 0);
    text = "garbage\n" OK "\r\n";
    at = text;
    end = text + strlen(text);
    ck_assert_int_eq(aigw_http_response_feed(h, &at, end, &body), AIGW_HTTP_BAD);
    ck_assert_int_eq(aigw_http_response_feed(h, &at, end, &body), AIGW_HTTP_BAD);
    ck_assert_int_eq(aigw_http_response_eof(h), AIGW_HTTP_BAD);
    ck_assert_str_eq(aigw_http_response_why(h), "the status line is not one of HTTP/1.x");
    ck_assert_int_eq(aigw_http_response_status(h), 0);
    apr_pool_destroy(p);
}
END_TEST

START_TEST(an_input_of_nothing_changes_nothing)
{
    apr_pool_t *p;
    aigw_http_response_t *h;
    aigw_http_body_t body;
    const char *at = NULL;

    apr_pool_create(&p, NULL);
    h = aigw_http_response_make(p, 0);
    ck_assert_int_eq(aigw_http_response_feed(h, &at, NULL, &body), AIGW_HTTP_MORE);
    ck_assert_int_eq(aigw_http_response_started(h), 0);
    ck_assert_ptr_null(aigw_http_response_why(h));
    apr_pool_destroy(p);
}
END_TEST

Suite *suite_http_response(void)
{
    Suite *s = suite_create("http_response");
    TCase *bodies = tcase_create("bodies"), *heads = tcase_create("heads"), *limits = tcase_create("limits");

    tcase_add_test(bodies, a_body_of_known_length_ends_there);
    tcase_add_test(bodies, a_body_without_length_ends_when_the_upstream_closes);
    tcase_add_test(bodies, chunks_are_taken_apart);
    tcase_add_test(bodies, broken_chunks_are_bad);
    tcase_add_test(bodies, trailers_are_checked_and_dropped);
    tcase_add_test(bodies, some_responses_have_no_body);
    suite_add_tcase(s, bodies);
    tcase_add_test(heads, status_lines_are_read);
    tcase_add_test(heads, other_status_lines_are_bad);
    tcase_add_test(heads, a_nul_anywhere_in_the_head_is_bad);
    tcase_add_test(heads, fields_are_kept_as_they_came);
    tcase_add_test(heads, broken_fields_are_bad);
    tcase_add_test(heads, lengths_that_contradict_each_other_are_bad);
    tcase_add_test(heads, content_length_is_a_number);
    tcase_add_test(heads, transfer_encoding_is_chunked_or_bad);
    tcase_add_test(heads, interim_responses_are_passed_over);
    tcase_add_test(heads, only_so_many_interim_responses);
    tcase_add_test(heads, connections_are_kept_or_not);
    suite_add_tcase(s, heads);
    tcase_add_test(limits, lines_have_a_limit);
    tcase_add_test(limits, heads_have_a_limit);
    tcase_add_test(limits, heads_have_only_so_many_fields);
    tcase_add_test(limits, a_reader_that_is_bad_or_done_stays_so);
    tcase_add_test(limits, an_input_of_nothing_changes_nothing);
    suite_add_tcase(s, limits);
    return s;
}
