/* aigw_rfc3339 */
#include "suites.h"
#include "aigw_rfc3339.h"

#include <stdio.h>
#include <string.h>

#define LAST_SECOND 253402300799 /* 9999-12-31T23:59:59Z */

static apr_pool_t *pool;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

static int parses(const char *s)
{
    apr_time_t t = -1;

    return aigw_rfc3339_parse(s, &t) == APR_SUCCESS;
}

START_TEST(dates_are_microseconds_since_1970)
{
    static const struct {
        const char *text;
        apr_int64_t sec, usec;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1970-01-01T00:00:01Z", 1, 0},
        {"1970-01-02T00:00:00Z", 86400, 0},
        {"1985-04-12T23:20:50.52Z", 482196050, 520000}, /* the RFC's own */
        {"1996-12-19T16:39:57-08:00", 851042397, 0},
        {"1990-12-31T23:59:60Z", 662688000, 0},
        {"1990-12-31T15:59:60-08:00", 662688000, 0},
        {"1937-01-01T12:00:27.87+00:20", -1, 0},
        {"2000-02-29T12:00:00Z", 951825600, 0},
        {"2000-03-01T00:00:00Z", 951868800, 0},
        {"2024-02-29T23:59:59Z", 1709251199, 0},
        {"2024-12-31T23:59:59Z", 1735689599, 0},
        {"2026-11-21T15:04:05Z", 1795273445, 0},
        {"2038-01-19T03:14:08Z", 2147483648, 0},
        {"2100-02-28T23:59:59Z", 4107542399, 0},
        {"2100-03-01T00:00:00Z", 4107542400, 0},
        {"9999-12-31T23:59:59Z", LAST_SECOND, 0},
        {"9999-12-31T23:59:59.999999Z", LAST_SECOND, 999999},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        apr_time_t t = -1;
        apr_status_t rv = aigw_rfc3339_parse(cases[i].text, &t);

        if (cases[i].sec < 0) {
            ck_assert_msg(rv == APR_EINVAL, "%s", cases[i].text);
        }
        else {
            ck_assert_msg(rv == APR_SUCCESS && t == apr_time_from_sec(cases[i].sec) + cases[i].usec, "%s: %d, %" APR_TIME_T_FMT,
                          cases[i].text, rv, t);
        }
    }
}
END_TEST

/* Counted by hand from 1970, so that no calendar stands on both sides. Every day up to 2101, and a year of each century's end. */
START_TEST(every_day_and_no_other)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    apr_int64_t count = 0;
    int year, month, day;

    for (year = 1970; year <= 9999; year++) {
        int leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0), looked_at = year <= 2101 || year % 100 < 1 || year > 9998;

        for (month = 1; month <= 12; month++) {
            int last = days[month - 1] + (month == 2 ? leap : 0);

            for (day = 0; looked_at && day <= 32; day++) {
                char text[64];
                apr_time_t t = -1;
                apr_status_t rv;

                sprintf(text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                rv = aigw_rfc3339_parse(text, &t);
                MUST(rv == (day >= 1 && day <= last ? APR_SUCCESS : APR_EINVAL));
                if (rv == APR_SUCCESS) {
                    MUST(t == apr_time_from_sec((count + day - 1) * 86400));
                    MUST(!strcmp(aigw_rfc3339_format(pool, t), text));
                }
            }
            apr_pool_clear(pool);
            count += last;
        }
    }
    ck_assert_int_eq(count, (LAST_SECOND + 1) / 86400);
}
END_TEST

START_TEST(hours_minutes_seconds)
{
    int h, m, s;

    for (h = 0; h < 100; h++) {
        for (m = 0; m < 100; m += h < 25 ? 1 : 33) {
            for (s = 0; s < 100; s += m < 61 && h < 3 ? 1 : 20) {
                char text[64];
                apr_time_t t = -1;
                int good = h < 24 && m < 60 && s <= 60;

                sprintf(text, "1970-01-01T%02d:%02d:%02dZ", h, m, s);
                MUST(aigw_rfc3339_parse(text, &t) == (good ? APR_SUCCESS : APR_EINVAL));
                MUST(!good || t == apr_time_from_sec(h * 3600 + m * 60 + s));
            }
        }
    }
}
END_TEST

START_TEST(offsets)
{
    int h, m, sign;

    for (sign = -1; sign <= 1; sign += 2) {
        for (h = 0; h < 100; h++) {
            for (m = 0; m < 100; m++) {
                char text[64];
                apr_time_t t = -1;
                int good = h < 24 && m < 60;

                sprintf(text, "1970-01-03T00:00:00.5%c%02d:%02d", sign < 0 ? '-' : '+', h, m);
                MUST(aigw_rfc3339_parse(text, &t) == (good ? APR_SUCCESS : APR_EINVAL));
                MUST(!good || t == apr_time_from_sec(2 * 86400 - sign * (h * 3600 + m * 60)) + 500000);
            }
        }
    }
}
END_TEST

START_TEST(nothing_outside_of_1970_to_9999)
{
    ck_assert(parses("1970-01-01T01:00:00+01:00"));
    ck_assert(!parses("1970-01-01T00:59:59+01:00"));
    ck_assert(!parses("1970-01-01T00:59:59.999999+01:00"));
    ck_assert(!parses("1970-01-01T00:00:00+00:01"));
    ck_assert(!parses("1969-12-31T23:59:60Z"));
    ck_assert(!parses("1969-12-31T23:00:00-01:00")); /* the year as it is written */
    ck_assert(parses("9999-12-31T22:59:59.999999-01:00"));
    ck_assert(!parses("9999-12-31T23:00:00-01:00"));
    ck_assert(!parses("9999-12-31T23:59:60Z"));
    ck_assert(!parses("9999-12-31T23:59:59-23:59"));
    ck_assert(!parses("10000-01-01T00:00:00Z"));
    ck_assert(!parses("0000-01-01T00:00:00Z"));
    ck_assert(!parses("-026-01-01T00:00:00Z"));
    ck_assert(!parses("+2026-01-01T00:00:00Z"));
}
END_TEST

START_TEST(fractions_of_any_length)
{
    static const char digits[] = "123456789012345678901234567890";
    static const int usec[] = {100000, 120000, 123000, 123400, 123450, 123456};
    apr_time_t t;
    int n;

    for (n = 1; n <= 30; n++) {
        char text[80];

        sprintf(text, "1970-01-01T00:00:07.%.*sZ", n, digits);
        t = -1;
        ck_assert_int_eq(aigw_rfc3339_parse(text, &t), APR_SUCCESS);
        ck_assert_int_eq(t, apr_time_from_sec(7) + usec[n > 6 ? 5 : n - 1]);
    }
    ck_assert_int_eq(aigw_rfc3339_parse("1970-01-01T00:00:00.999999999999Z", &t), APR_SUCCESS);
    ck_assert_int_eq(t, 999999);
    ck_assert_int_eq(aigw_rfc3339_parse("1970-01-01T00:00:00.000001Z", &t), APR_SUCCESS);
    ck_assert_int_eq(t, 1);
    ck_assert_int_eq(aigw_rfc3339_parse("1970-01-01T00:00:00.0000009Z", &t), APR_SUCCESS);
    ck_assert_int_eq(t, 0);
    ck_assert_int_eq(aigw_rfc3339_parse("1990-12-31T23:59:60.25Z", &t), APR_SUCCESS);
    ck_assert_int_eq(t, apr_time_from_sec(662688000) + 250000);
    ck_assert(!parses("1970-01-01T00:00:00.Z"));
    ck_assert(!parses("1970-01-01T00:00:00.+01:00"));
    ck_assert(!parses("1970-01-01T00:00:00."));
    ck_assert(!parses("1970-01-01T00:00:00,5Z"));
    ck_assert(!parses("1970-01-01T00:00:00.5.5Z"));
    ck_assert(!parses("1970-01-01T00:00:00.-5Z"));
}
END_TEST

/* How many of the 255 characters are allowed in each place. */
static void count_allowed(const char *good, const int *allowed)
{
    apr_size_t at;

    for (at = 0; at < strlen(good); at++) {
        char text[64];
        int c, n = 0;

        for (c = 1; c < 256; c++) {
            strcpy(text, good);
            text[at] = (char)c;
            n += parses(text);
        }
        ck_assert_msg(n == allowed[at], "%s: %d characters in place %d", good, n, (int)at);
    }
}

START_TEST(what_may_stand_where)
{
    static const int in_utc[] = {8, 10, 10, 10, 1, 2, 3, 1, 3, 10, 3, 2, 10, 1, 6, 10, 1, 6, 10, 2};
    static const int with_offset[] = {8, 10, 10, 10, 1, 2, 3, 1, 3, 10, 3, 2, 10, 1, 6, 10, 1, 6, 10, 2, 3, 10, 1, 6, 10};

    count_allowed("2026-11-21T15:04:05Z", in_utc);
    count_allowed("2026-11-21T15:04:05+01:00", with_offset);
}
END_TEST

START_TEST(neither_less_nor_more)
{
    static const char *const good[] = {"2026-11-21T15:04:05Z", "2026-11-21t15:04:05.25z", "2026-11-21 15:04:05.25-01:30"};
    apr_size_t i, n;

    for (i = 0; i < sizeof good / sizeof *good; i++) {
        char text[64];
        int c;

        ck_assert_msg(parses(good[i]), "%s", good[i]);
        for (n = 0; n < strlen(good[i]); n++) {
            memset(text, 0, sizeof text);
            memcpy(text, good[i], n);
            ck_assert_msg(!parses(text), "%s", text);
        }
        for (c = 1; c < 256; c++) {
            sprintf(text, "%s%c", good[i], c);
            ck_assert_msg(!parses(text), "%s", text);
            sprintf(text, "%c%s", c, good[i]);
            ck_assert_msg(!parses(text), "%s", text);
        }
    }
    ck_assert(!parses("2026-11-21"));
    ck_assert(!parses("2026-1-21T15:04:05Z"));
    ck_assert(!parses("2026-11-21T15:04Z"));
    ck_assert(!parses("2026-11-21T15:04:05+0100"));
    ck_assert(!parses("2026-11-21T15:04:05+01"));
    ck_assert(!parses("2026-11-21T15:04:05 Z"));
    ck_assert(!parses("20261121T150405Z"));
    ck_assert(!parses("2026-11-21T24:00:00Z"));
}
END_TEST

START_TEST(written_in_utc_and_whole_seconds)
{
    ck_assert_str_eq(aigw_rfc3339_format(pool, 0), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(aigw_rfc3339_format(pool, 999999), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(aigw_rfc3339_format(pool, 1000000), "1970-01-01T00:00:01Z");
    ck_assert_str_eq(aigw_rfc3339_format(pool, apr_time_from_sec(1795273445) + 5), "2026-11-21T15:04:05Z");
    ck_assert_str_eq(aigw_rfc3339_format(pool, apr_time_from_sec(LAST_SECOND) + 999999), "9999-12-31T23:59:59Z");
}
END_TEST

Suite *suite_rfc3339(void)
{
    Suite *s = suite_create("rfc3339");
    TCase *c = tcase_create("rfc3339");

    tcase_add_checked_fixture(c, make_pool, drop_pool);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, dates_are_microseconds_since_1970);
    tcase_add_test(c, every_day_and_no_other);
    tcase_add_test(c, hours_minutes_seconds);
    tcase_add_test(c, offsets);
    tcase_add_test(c, nothing_outside_of_1970_to_9999);
    tcase_add_test(c, fractions_of_any_length);
    tcase_add_test(c, what_may_stand_where);
    tcase_add_test(c, neither_less_nor_more);
    tcase_add_test(c, written_in_utc_and_whole_seconds);
    suite_add_tcase(s, c);
    return s;
}
