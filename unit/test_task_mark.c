/* How far a task had come, as the id of an event. */
#include "suites.h"
#include "aigw_task_mark.h"

#include <string.h>

/* In the order in which a task goes through them. */
static const struct {
    apr_int64_t claims;
    int state;
    apr_int64_t tokens;
    double progress;
    const char *text;
} life[] = {
    {0, 0, -1, 0, "0-pending-0-0"},
    {1, 1, -1, 0, "1-running-0-0"},
    {1, 1, 3, 0.0299, "1-running-3-29"},
    {1, 1, 3, 0.03, "1-running-3-30"},
    {1, 1, 4, 0.03, "1-running-4-30"},
    {1, 0, -1, 0, "1-pending-0-0"}, /* handed back */
    {2, 1, 0, 0, "2-running-0-0"},
    {3, 0, -1, 0, "3-pending-0-0"}, /* taken back from who was lost */
    {4, 1, 10, 0.99, "4-running-10-990"},
    {4, 2, 10, 1, "4-completed-10-1000"},
    {5, 3, APR_INT64_MAX - 1, 2, "5-failed-9223372036854775806-1000"},
    {6, 4, 1, 0.5, "6-cancelled-1-500"},
};

#define STEPS (sizeof life / sizeof *life)

static aigw_task_mark_t mark_of(apr_size_t i)
{
    return aigw_task_mark(life[i].claims, life[i].state, life[i].tokens, life[i].progress);
}

START_TEST(there_and_back)
{
    apr_size_t i;

    for (i = 0; i < STEPS; i++) {
        aigw_task_mark_t mark = mark_of(i), read;
        char text[AIGW_TASK_MARK_MAX];

        aigw_task_mark_write(&mark, text);
        ck_assert_str_eq(text, life[i].text);
        ck_assert_int_eq(aigw_task_mark_read(text, &read), 1);
        ck_assert_int_eq(aigw_task_mark_compare(&mark, &read), 0);
        ck_assert_int_eq(read.state, life[i].state);
    }
}
END_TEST

START_TEST(it_grows)
{
    apr_size_t i, j;

    for (i = 0; i < STEPS; i++) {
        for (j = 0; j < STEPS; j++) {
            const aigw_task_mark_t a = mark_of(i), b = mark_of(j);
            const int rc = aigw_task_mark_compare(&a, &b);

            ck_assert_msg(i < j ? rc < 0 : i > j ? rc > 0 : rc == 0, "%s and %s: %d", life[i].text, life[j].text, rc);
        }
    }
}
END_TEST

START_TEST(mistakes)
{
    static const char *const texts[] = {
        "",
        "1",
        "1-running",
        "1-running-",
        "1-running-1",
        "1-running-1-",
        "-1-running-1-1",
        "1-running-1-1001",
        "1-running-1-1 ",
        "1-running-1-1-1",
        "1-runnin-1-1",
        "1-runninga-1-1",
        " 1-running-1-1",
        "1-running-9223372036854775807-1",
        "1-running-99999999999999999999-1",
        "000000000000000000000000000000000000000000000000000000000000000000000001-running-1-1",
        "\xff-running-1-1",
    };
    aigw_task_mark_t mark;
    apr_size_t i;

    ck_assert_int_eq(aigw_task_mark_read(NULL, &mark), 0);
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(!aigw_task_mark_read(texts[i], &mark), "\"%s\"", texts[i]);
    }
}
END_TEST

Suite *suite_task_mark(void)
{
    Suite *s = suite_create("task_mark");
    TCase *tc = tcase_create("task_mark");

    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, it_grows);
    tcase_add_test(tc, mistakes);
    suite_add_tcase(s, tc);
    return s;
}
