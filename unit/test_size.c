/* aigw_size */
#include "suites.h"
#include "aigw_size.h"

START_TEST(sizes)
{
    static const struct {
        const char *written;
        apr_int64_t bytes;
    } cases[] = {{"0", 0},
                 {"65536", 65536},
                 {"64K", 65536},
                 {"64k", 65536},
                 {"16m", 16777216},
                 {"16M", 16777216},
                 {"1g", 1 << 30},
                 {"1G", 1 << 30},
                 {"007K", 7168},
                 {"8589934591G", APR_INT64_C(8589934591) << 30},
                 {"9223372036854775807", APR_INT64_MAX}};
    apr_off_t n;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        MUST(aigw_size_read(cases[i].written, &n) && n == cases[i].bytes);
    }
}
END_TEST

START_TEST(what_is_no_size)
{
    static const char *const no[] = {
        "", "K", " 1", "+1", "-1", "1 K", "1KB", "1KK", "1T", "1.5M", "0x10", "ten", "off", "9223372036854775808", "8589934592G"};
    apr_off_t n = 7;
    size_t i;

    for (i = 0; i < sizeof no / sizeof *no; i++) {
        ck_assert_msg(!aigw_size_read(no[i], &n) && n == 7, "%s", no[i]);
    }
}
END_TEST

Suite *suite_size(void)
{
    Suite *s = suite_create("size");
    TCase *c = tcase_create("all");

    tcase_add_test(c, sizes);
    tcase_add_test(c, what_is_no_size);
    suite_add_tcase(s, c);
    return s;
}
