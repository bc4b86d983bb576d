/* The Prefer field. */
#include "suites.h"
#include "aigw_prefer.h"

START_TEST(waits)
{
    static const struct {
        const char *field;
        apr_int64_t seconds;
    } cases[] = {
        {NULL, -1},
        {"", -1},
        {"wait=10", 10},
        {"Wait = \"10\" ; x=1", 10},
        {"wait=0", 0},
        {"respond-async, wait=5", 5},
        {"foo; bar=\"a, wait=3\", wait=7, wait=8", 7},
        {"foo=\"\\\", wait=3\",wait=7", 7},
        {" , ,wait=2", 2},
        {"waiting=3", -1},
        {"wait", -1},
        {"wait=", -1},
        {"wait=-1", -1},
        {"wait=1.5", -1},
        {"wait=1s", -1},
        {"wait=\"10", -1},
        {"wait=x, wait=4", -1}, /* the first one counts */
        {"foo;wait=3", -1},     /* a parameter of another preference */
        {"\"", -1},
        {"\"\\", -1},
        {"wait=99999999999999999999999", 1000000000},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const apr_int64_t seconds = aigw_prefer_wait(cases[i].field);

        ck_assert_msg(seconds == cases[i].seconds, "%s: %d", cases[i].field ? cases[i].field : "NULL", (int)seconds);
    }
}
END_TEST

Suite *suite_prefer(void)
{
    Suite *s = suite_create("prefer");
    TCase *tc = tcase_create("prefer");

    tcase_add_test(tc, waits);
    suite_add_tcase(s, tc);
    return s;
}
