/* aigw_traceparent */
#include "suites.h"
#include "aigw_traceparent.h"

#include <stdlib.h>
#include <string.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"
#define GOOD  "00-" TRACE "-" SPAN "-01"

static const unsigned char bytes[24] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
                                        0x1c, 0x1d, 0x1e, 0x1f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7};
static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

START_TEST(a_trace_is_continued_with_a_new_span)
{
    aigw_traceparent_t t;

    ck_assert_int_eq(aigw_traceparent_continue(&t, GOOD, bytes), 1);
    ck_assert_str_eq(t.trace_id, TRACE);
    ck_assert_str_eq(t.parent_id, SPAN);
    ck_assert_str_eq(t.span_id, "a0a1a2a3a4a5a6a7");
    ck_assert_int_eq(t.flags, 1);
    ck_assert_str_eq(aigw_traceparent_format(pool, &t), "00-" TRACE "-a0a1a2a3a4a5a6a7-01");
}
END_TEST

START_TEST(flags_other_than_sampled_are_not_passed_on)
{
    aigw_traceparent_t t;

    ck_assert_int_eq(aigw_traceparent_continue(&t, "00-" TRACE "-" SPAN "-00", bytes), 1);
    ck_assert_int_eq(t.flags, 0);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "00-" TRACE "-" SPAN "-fe", bytes), 1);
    ck_assert_int_eq(t.flags, 0);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "00-" TRACE "-" SPAN "-ff", bytes), 1);
    ck_assert_str_eq(aigw_traceparent_format(pool, &t), "00-" TRACE "-a0a1a2a3a4a5a6a7-01");
}
END_TEST

START_TEST(a_later_version_is_read_as_its_first_fields)
{
    aigw_traceparent_t t;

    ck_assert_int_eq(aigw_traceparent_continue(&t, "cc-" TRACE "-" SPAN "-01", bytes), 1);
    ck_assert_str_eq(aigw_traceparent_format(pool, &t), "00-" TRACE "-a0a1a2a3a4a5a6a7-01");
    ck_assert_int_eq(aigw_traceparent_continue(&t, "0f-" TRACE "-" SPAN "-01", bytes), 1);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "f0-" TRACE "-" SPAN "-01", bytes), 1);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "01-" TRACE "-" SPAN "-01-what-the-future-holds", bytes), 1);
    ck_assert_str_eq(t.parent_id, SPAN);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "01-" TRACE "-" SPAN "-01-", bytes), 1);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "01-" TRACE "-" SPAN "-01.", bytes), 0);
    ck_assert_int_eq(aigw_traceparent_continue(&t, "01-" TRACE "-" SPAN "-011", bytes), 0);
}
END_TEST

START_TEST(a_malformed_header_begins_a_trace)
{
    static const char *const malformed[] = {
        NULL,
        "",
        "00",
        "ff-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "0A-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "-" SPAN "-0G",
        "00-" TRACE "-" SPAN "-A1",
        GOOD "-",
        GOOD "-00",
        GOOD " ",
        GOOD "," GOOD,
        " " GOOD,
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-" TRACE "-" SPAN "-",
        "00-\xff" TRACE,
    };
    const char *header = malformed[_i];
    aigw_traceparent_t t;

    ck_assert_int_eq(sizeof(malformed) / sizeof(*malformed), 23);
    memset(&t, 'x', sizeof(t));
    ck_assert_msg(aigw_traceparent_continue(&t, header, bytes) == 0, "continued: %s", header ? header : "NULL");
    ck_assert_str_eq(t.trace_id, "101112131415161718191a1b1c1d1e1f");
    ck_assert_str_eq(t.span_id, "a0a1a2a3a4a5a6a7");
    ck_assert_str_eq(t.parent_id, "");
    ck_assert_int_eq(t.flags, 1);
    ck_assert_str_eq(aigw_traceparent_format(pool, &t), "00-101112131415161718191a1b1c1d1e1f-a0a1a2a3a4a5a6a7-01");
}
END_TEST

START_TEST(every_shorter_header_is_malformed_and_not_read_beyond)
{
    aigw_traceparent_t t;
    size_t n;

    for (n = 0; n < strlen(GOOD); ++n) {
        char *cut = malloc(n + 1); /* of its own size: the sanitizer sees what is read behind it */

        ck_assert_ptr_nonnull(cut);
        memcpy(cut, GOOD, n);
        cut[n] = '\0';
        ck_assert_int_eq(aigw_traceparent_continue(&t, cut, bytes), 0);
        free(cut);
    }
}
END_TEST

START_TEST(ids_are_never_all_zero)
{
    static const unsigned char zeros[24];
    aigw_traceparent_t t;

    ck_assert_int_eq(aigw_traceparent_continue(&t, NULL, zeros), 0);
    ck_assert_str_eq(aigw_traceparent_format(pool, &t), "00-00000000000000000000000000000001-0000000000000001-01");
}
END_TEST

Suite *suite_traceparent(void)
{
    Suite *s = suite_create("traceparent");
    TCase *c = tcase_create("traceparent");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_trace_is_continued_with_a_new_span);
    tcase_add_test(c, flags_other_than_sampled_are_not_passed_on);
    tcase_add_test(c, a_later_version_is_read_as_its_first_fields);
    tcase_add_loop_test(c, a_malformed_header_begins_a_trace, 0, 23);
    tcase_add_test(c, every_shorter_header_is_malformed_and_not_read_beyond);
    tcase_add_test(c, ids_are_never_all_zero);
    suite_add_tcase(s, c);
    return s;
}
