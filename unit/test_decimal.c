/* Decimal numbers without printf. */
#include "suites.h"
#include "aigw_decimal.h"

#include <string.h>

START_TEST(numbers)
{
    static const struct {
        apr_int64_t n;
        int decimals;
        const char *text;
    } cases[] = {
        {0, 0, "0"},
        {7, 0, "7"},
        {1234567, 0, "1234567"},
        {0, 3, "0.000"},
        {1, 3, "0.001"},
        {12, 3, "0.012"},
        {999, 3, "0.999"},
        {1000, 3, "1.000"},
        {12345, 3, "12.345"},
        {100, 2, "1.00"},
        {5, 1, "0.5"},
        {-1, 3, "0.000"},
        {-1, 0, "0"},
        {APR_INT64_MAX, 0, "9223372036854775807"},
        {APR_INT64_MAX, 9, "9223372036.854775807"},
        {10, 4, "0.0010"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[AIGW_DECIMAL_MAX], *end = aigw_decimal(text, cases[i].n, cases[i].decimals);

        ck_assert_str_eq(text, cases[i].text);
        ck_assert_ptr_eq(end, text + strlen(text));
    }
}
END_TEST

Suite *suite_decimal(void)
{
    Suite *s = suite_create("decimal");
    TCase *tc = tcase_create("decimal");

    tcase_add_test(tc, numbers);
    suite_add_tcase(s, tc);
    return s;
}
