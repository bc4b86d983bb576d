/* bench/hist.c: what the benchmarks' quantiles are worth */
#include "suites.h"
#include "hist.h"

#include <stdlib.h>
#include <string.h>

static hist h;

static void setup(void)
{
    memset(&h, 0, sizeof h);
}

/* Is x within 1 % of what it should be? */
static int near(double x, double right)
{
    return x > right * .99 && x < right * 1.01;
}

START_TEST(an_empty_one_has_no_quantiles)
{
    ck_assert_uint_eq(h.n, 0);
    MUST(!(hist_at(&h, .5) > 0));
}
END_TEST

START_TEST(quantiles_are_right_to_within_a_percent)
{
    int64_t i;

    for (i = 1; i <= 1000000; i++) {
        hist_add(&h, i * 1000); /* 1 µs to 1 s */
    }
    ck_assert_uint_eq(h.n, 1000000);
    ck_assert_uint_eq(h.max, 1000000000);
    MUST(near(hist_at(&h, .5), 5e8));
    MUST(near(hist_at(&h, .01), 1e7));
    MUST(near(hist_at(&h, .99), 9.9e8));
    MUST(near(hist_at(&h, .99999), 1e9));
    MUST(hist_at(&h, 1) <= 1e9);
}
END_TEST

/* Each value alone: no bucket is skipped, and none is far from what is in it. */
START_TEST(every_size_of_value_has_its_bucket)
{
    uint64_t v;

    for (v = 1; v < (uint64_t)1 << 39; v += v / 7 + 1) {
        memset(&h, 0, sizeof h);
        hist_add(&h, (int64_t)v);
        MUST(near(hist_at(&h, .5), (double)v));
    }
}
END_TEST

START_TEST(what_cannot_be_is_counted_all_the_same)
{
    hist_add(&h, -5); /* a clock that went back */
    hist_add(&h, INT64_MAX);
    ck_assert_uint_eq(h.n, 2);
    MUST(!(hist_at(&h, .5) > 0));
    ck_assert_uint_eq(h.max, INT64_MAX);
    MUST(hist_at(&h, 1) > 1e12); /* in the last bucket */
}
END_TEST

START_TEST(the_buckets_that_are_printed_hold_everything)
{
    char *text = NULL, *p, *end;
    size_t len, n = 0;
    double before = 0;
    FILE *f = open_memstream(&text, &len);
    int64_t i;

    for (i = 0; i < 5000; i++) {
        hist_add(&h, i * i);
    }
    hist_buckets(&h, f);
    fclose(f);
    for (p = text + 1; *p == '['; p = end + 1 + strspn(end + 1, ", ")) {
        double upper = strtod(p + 1, &end);
        MUST(upper > before);
        before = upper;
        n += strtoul(end + 1, &end, 10);
        ck_assert_int_eq(*end, ']');
    }
    ck_assert_uint_eq(n, 5000);
    MUST(before >= 24.99e3); /* µs */
    free(text);
}
END_TEST

Suite *suite_hist(void)
{
    Suite *s = suite_create("hist");
    TCase *t = tcase_create("hist");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, an_empty_one_has_no_quantiles);
    tcase_add_test(t, quantiles_are_right_to_within_a_percent);
    tcase_add_test(t, every_size_of_value_has_its_bucket);
    tcase_add_test(t, what_cannot_be_is_counted_all_the_same);
    tcase_add_test(t, the_buckets_that_are_printed_hold_everything);
    suite_add_tcase(s, t);
    return s;
}
