/* aigw_sse */
#include "suites.h"
#include "splits.h"
#include "aigw_sse.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a splitter finds, in words ----
 * An event is [raw|data|event], or [raw|data|event|plain], with - for a NULL; then TOO_LONG, or the bytes that are pending. */

typedef struct found_t {
    apr_pool_t *p;
    aigw_sse_t *sse;
    char *text;
    int lost;
} found_t;

static const char *words(apr_pool_t *p, const char *s, apr_size_t len)
{
    return s ? apr_pstrmemdup(p, s, len) : "-";
}

static void *make(apr_pool_t *p, const void *setting)
{
    found_t *f = apr_pcalloc(p, sizeof(*f));

    f->p = p;
    f->sse = aigw_sse_make(p, *(const apr_size_t *)setting);
    f->text = apr_pstrdup(p, "");
    return f;
}

static void feed(void *parser, const char *piece, apr_size_t len)
{
    found_t *f = parser;
    const char *at = piece, *end = piece + len;
    aigw_sse_event_t ev;
    aigw_sse_step_e step;

    while ((step = aigw_sse_feed(f->sse, &at, end, &ev)) == AIGW_SSE_EVENT) {
        MUST(aigw_sse_pending(f->sse) == 0);
        f->text = apr_pstrcat(f->p, f->text, "[", words(f->p, ev.raw, ev.raw_len), "|", words(f->p, ev.data, ev.data_len), "|",
                              words(f->p, ev.event, ev.event_len), ev.plain ? "|plain]" : "]", NULL);
    }
    MUST(at == end);
    if (step == AIGW_SSE_TOO_LONG) {
        f->lost = 1;
    }
    else {
        MUST(f->lost == 0); /* a stream that is lost stays lost */
    }
}

static const char *finish(void *parser)
{
    found_t *f = parser;

    return apr_psprintf(f->p, "%s%s%lu", f->text, f->lost ? "TOO_LONG" : "", (unsigned long)aigw_sse_pending(f->sse));
}

static const splits_subject_t subject = {make, feed, finish};

static void check(apr_size_t max, const char *text, apr_size_t len, const char *expected)
{
    splits_check(&subject, &max, "sse", text, len, expected);
}

#define STREAM(text, expected)          check(1000, text, sizeof(text) - 1, expected)
#define STREAM_MAX(max, text, expected) check(max, text, sizeof(text) - 1, expected)

START_TEST(plain_events_are_given_as_they_are)
{
    STREAM("", "0");
    STREAM("data: {\"a\":1}\n\n", "[data: {\"a\":1}\n\n|{\"a\":1}|-|plain]0");
    STREAM("data: a\n\ndata: [DONE]\n\n", "[data: a\n\n|a|-|plain][data: [DONE]\n\n|[DONE]|-|plain]0");
    STREAM("data: \n\n", "[data: \n\n||-|plain]0");
    STREAM("data:  a\n\n", "[data:  a\n\n| a|-|plain]0");
    STREAM("data: gr\xc3\xbc\xc3\x9f \xff\n\n", "[data: gr\xc3\xbc\xc3\x9f \xff\n\n|gr\xc3\xbc\xc3\x9f \xff|-|plain]0");
}
END_TEST

START_TEST(what_is_not_plain_says_so)
{
    STREAM("data:a\n\n", "[data:a\n\n|a|-]0");
    STREAM("data:\n\n", "[data:\n\n||-]0");
    STREAM("data\n\n", "[data\n\n||-]0");
    STREAM("event: x\ndata: a\n\n", "[event: x\ndata: a\n\n|a|x]0");
    STREAM("data: a\nevent: x\n\n", "[data: a\nevent: x\n\n|a|x]0");
    STREAM("data: a\n: comment\n\n", "[data: a\n: comment\n\n|a|-]0");
    STREAM("data: a\nid: 1\n\n", "[data: a\nid: 1\n\n|a|-]0");
    STREAM("id\ndata: a\n\n", "[id\ndata: a\n\n|a|-]0");
}
END_TEST

START_TEST(several_data_lines_are_joined)
{
    STREAM("data: a\ndata: b\n\n", "[data: a\ndata: b\n\n|a\nb|-]0");
    STREAM("data: a\r\ndata:b\rdata\ndata:  c\n\n", "[data: a\r\ndata:b\rdata\ndata:  c\n\n|a\nb\n\n c|-]0");
    STREAM("data\ndata\n\n", "[data\ndata\n\n|\n|-]0");
    STREAM("data: a\nevent: x\ndata: b\n\ndata: c\n\n", "[data: a\nevent: x\ndata: b\n\n|a\nb|x][data: c\n\n|c|-|plain]0");
}
END_TEST

START_TEST(all_line_ends_are_accepted)
{
    STREAM("data: a\r\rdata: b\r\r", "[data: a\r\r|a|-][data: b\r\r|b|-]0");
    /* the LF of a blank CRLF line is nobody's */
    STREAM("data: a\r\n\r\ndata: b\r\n\r\n", "[data: a\r\n\r|a|-][data: b\r\n\r|b|-]0");
    STREAM("data: a\n\r\ndata: b\r\n\n", "[data: a\n\r|a|-][data: b\r\n\n|b|-]0");
    STREAM("data: a\r\n\rdata: b\n\n", "[data: a\r\n\r|a|-][data: b\n\n|b|-|plain]0");
    STREAM("data: a\r\n\r\n\r\n\ndata: b\n\n", "[data: a\r\n\r|a|-][data: b\n\n|b|-|plain]0");
}
END_TEST

START_TEST(comments_and_blank_lines_are_skipped)
{
    STREAM(": keep-alive\n\n", "0");
    STREAM(":\n:\r:\r\n\n\r\r\n:::", "0");
    STREAM(": ping\n\ndata: a\n\n: ping\n\n", "[data: a\n\n|a|-|plain]0");
    STREAM(": ping\ndata: a\n\n", "[data: a\n\n|a|-|plain]0");
    STREAM("\n\n\ndata: a\n\n", "[data: a\n\n|a|-|plain]0");
    STREAM_MAX(10, ": a comment may be longer than any event because nothing keeps it\ndata: ab\n\n", "[data: ab\n\n|ab|-|plain]0");
}
END_TEST

START_TEST(a_byte_order_mark_is_skipped_at_the_start_only)
{
    STREAM("\xef\xbb\xbf"
           "data: a\n\n",
           "[data: a\n\n|a|-|plain]0");
    STREAM("\xef\xbb\xbf:\n\n", "0");
    STREAM("\xef\xbb\xbf", "0");
    STREAM("\xef\xbb", "2");
    STREAM("\xef\xbb\n\n", "[\xef\xbb\n\n|-|-]0");
    STREAM("\xef: x\ndata: a\n\n", "[\xef: x\ndata: a\n\n|a|-]0");
    STREAM("\xef\xbb\xbf\xef\xbb\xbf"
           "data: a\n\n",
           "[\xef\xbb\xbf"
           "data: a\n\n|-|-]0");
    STREAM("data: a\n\n\xef\xbb\xbf"
           "data: b\n\n",
           "[data: a\n\n|a|-|plain][\xef\xbb\xbf"
           "data: b\n\n|-|-]0");
}
END_TEST

START_TEST(fields_are_read_as_the_standard_says)
{
    STREAM("event: first\nevent: last\ndata: a\n\n", "[event: first\nevent: last\ndata: a\n\n|a|last]0");
    STREAM("event\ndata: a\n\n", "[event\ndata: a\n\n|a|]0");
    STREAM("event:\n\n", "[event:\n\n|-|]0");
    STREAM("id: 7\nretry: 10\n\n", "[id: 7\nretry: 10\n\n|-|-]0");
    STREAM("Data: a\n dat: b\ndatas: c\ndata : d\n\n", "[Data: a\n dat: b\ndatas: c\ndata : d\n\n|-|-]0");
    STREAM("data: a:b: c\n\n", "[data: a:b: c\n\n|a:b: c|-|plain]0");
}
END_TEST

START_TEST(an_event_that_has_begun_is_pending)
{
    STREAM("d", "1");
    STREAM("data: a", "7");
    STREAM("data: a\n", "8");
    STREAM("data: a\r", "8");
    STREAM("data: a\r\n", "9");
    STREAM("data: a\n\ndata: b", "[data: a\n\n|a|-|plain]7");
    STREAM("data: a\n\n: comment", "[data: a\n\n|a|-|plain]0");
    STREAM("data: a\n: comment", "17");
}
END_TEST

START_TEST(an_event_has_at_most_max_bytes)
{
    STREAM_MAX(9, "data: a\n\ndata: b\n\n", "[data: a\n\n|a|-|plain][data: b\n\n|b|-|plain]0");
    STREAM_MAX(8, "data: a\n\n", "TOO_LONG0");
    STREAM_MAX(9, "data: a\n\ndata: bb\n\ndata: c\n\n", "[data: a\n\n|a|-|plain]TOO_LONG0");
    STREAM_MAX(9, "data: a\nx\n\n", "TOO_LONG0");
    STREAM_MAX(9, "dataaaaaaaaaaaaaaa", "TOO_LONG0");
    STREAM_MAX(10, "data: a\r\n\r\n", "[data: a\r\n\r|a|-]0");
    STREAM_MAX(16, "data: a\ndata: b\n\n", "TOO_LONG0");
    STREAM_MAX(17, "data: a\ndata: b\n\n", "[data: a\ndata: b\n\n|a\nb|-]0");
    STREAM_MAX(0, "x", "TOO_LONG0");
    STREAM_MAX(1, "\xef\xbb x", "TOO_LONG0");
    STREAM_MAX((apr_size_t)-1, "data: a\n\n", "[data: a\n\n|a|-|plain]0");
}
END_TEST

/* A large event in small inputs: the buffer grows, is given back, and a line end at the edge of a search window is found. */
START_TEST(large_events_pass_whole)
{
    static const apr_size_t sizes[] = {500, 511, 512, 513, 1023, 1024, 200000};
    apr_size_t size = sizes[_i], cut, max = 300000;
    apr_pool_t *p;
    char *text;
    int round;

    apr_pool_create(&p, NULL);
    text = apr_palloc(p, size + 9);
    memset(text, 'x', size + 8);
    memcpy(text, "data: ", 6);
    memcpy(text + 6 + size, "\n\n", 3);
    for (cut = 1; cut < size + 8; cut = cut * 3 + 1) {
        aigw_sse_t *sse = aigw_sse_make(p, max);

        for (round = 0; round < 2; ++round) {
            apr_size_t at;
            int events = 0;

            for (at = 0; at < size + 8; at += cut) {
                const char *q = text + at, *end = at + cut < size + 8 ? q + cut : text + size + 8;
                aigw_sse_event_t ev;

                while (aigw_sse_feed(sse, &q, end, &ev) == AIGW_SSE_EVENT) {
                    ck_assert_int_eq(ev.data_len, size);
                    ck_assert_int_eq(memcmp(ev.data, text + 6, size), 0);
                    ck_assert_int_eq(ev.plain, 1);
                    ++events;
                }
            }
            ck_assert_int_eq(events, 1);
            ck_assert_int_eq(aigw_sse_pending(sse), 0);
        }
    }
    apr_pool_destroy(p);
}
END_TEST

/* A megabyte of the shortest lines, byte by byte and at once: what costs the square of it would run into the time limit. */
START_TEST(many_lines_cost_their_length)
{
    enum { LEN = 1000000 };
    apr_pool_t *p;
    char *text;
    apr_size_t at;
    aigw_sse_t *sse;
    aigw_sse_event_t ev;
    const char *q;

    apr_pool_create(&p, NULL);
    text = apr_palloc(p, LEN);
    for (at = 0; at < LEN; ++at) {
        text[at] = at % 2 ? '\r' : 'x';
    }
    sse = aigw_sse_make(p, LEN);
    for (at = 0; at < LEN; ++at) {
        q = text + at;
        MUST(aigw_sse_feed(sse, &q, q + 1, &ev) == AIGW_SSE_MORE);
    }
    ck_assert_int_eq(aigw_sse_pending(sse), LEN);
    sse = aigw_sse_make(p, LEN);
    q = text;
    ck_assert_int_eq(aigw_sse_feed(sse, &q, text + LEN, &ev), AIGW_SSE_MORE);
    ck_assert_int_eq(aigw_sse_pending(sse), LEN);
    apr_pool_destroy(p);
}
END_TEST

Suite *suite_sse(void)
{
    Suite *s = suite_create("sse");
    TCase *c = tcase_create("sse");

    tcase_add_test(c, plain_events_are_given_as_they_are);
    tcase_add_test(c, what_is_not_plain_says_so);
    tcase_add_test(c, several_data_lines_are_joined);
    tcase_add_test(c, all_line_ends_are_accepted);
    tcase_add_test(c, comments_and_blank_lines_are_skipped);
    tcase_add_test(c, a_byte_order_mark_is_skipped_at_the_start_only);
    tcase_add_test(c, fields_are_read_as_the_standard_says);
    tcase_add_test(c, an_event_that_has_begun_is_pending);
    tcase_add_test(c, an_event_has_at_most_max_bytes);
    tcase_add_loop_test(c, large_events_pass_whole, 0, 7);
    tcase_add_test(c, many_lines_cost_their_length);
    suite_add_tcase(s, c);
    return s;
}
