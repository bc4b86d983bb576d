/* aigw_tier_file */
#include "suites.h"
#include "aigw_tier_file.h"

#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_tier_fault_t fault;
static aigw_tier_file_t *file;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* From a block of exactly this length that is overwritten afterwards: nothing may read beyond it or point into it. */
static int reads_bytes(const char *text, apr_size_t len)
{
    char *exact = malloc(len ? len : 1);
    apr_status_t rv;

    memcpy(exact, text, len);
    file = NULL;
    rv = aigw_tier_file_read(&file, exact, len, pool, &fault);
    memset(exact, 'Z', len);
    free(exact);
    if (rv == APR_SUCCESS) {
        ck_assert_ptr_nonnull(file);
        ck_assert_ptr_null(fault.message);
        return 1;
    }
    ck_assert_int_eq(rv, APR_EINVAL);
    ck_assert_ptr_null(file);
    ck_assert_int_ge(fault.line, 1);
    ck_assert_ptr_nonnull(fault.message);
    return 0;
}

static int reads(const char *text)
{
    return reads_bytes(text, strlen(text));
}

static const char *tier(const char *user)
{
    const char *found = aigw_tier_file_find(file, user);

    return found ? found : "none";
}

START_TEST(users_have_tiers)
{
    ck_assert(reads("# comment\n\n  \t\npro: alice bob\n  free :carol\r\npro:\tdave\nempty:\n"));
    ck_assert_str_eq(tier("alice"), "pro");
    ck_assert_str_eq(tier("bob"), "pro");
    ck_assert_str_eq(tier("carol"), "free");
    ck_assert_str_eq(tier("dave"), "pro");
    ck_assert_str_eq(tier("Alice"), "none");
    ck_assert_str_eq(tier(""), "none");
    ck_assert_str_eq(tier("pro"), "none");
    ck_assert_int_eq((int)aigw_tier_file_count(file), 4);
}
END_TEST

START_TEST(names_in_quotes)
{
    ck_assert(reads("big corp: \"Carol Example\" \"cn=x,dc=a\" \"say \\\"hi\\\" \\\\ \\n\" a\"b\ny:z:z"));
    ck_assert_str_eq(tier("Carol Example"), "big corp");
    ck_assert_str_eq(tier("cn=x,dc=a"), "big corp");
    ck_assert_str_eq(tier("say \"hi\" \\ \\n"), "big corp");
    ck_assert_str_eq(tier("a\"b"), "big corp");
    ck_assert_str_eq(tier("z:z"), "y");
}
END_TEST

START_TEST(nothing_is_a_file_too)
{
    ck_assert(reads(""));
    ck_assert(reads("\n\n"));
    ck_assert(reads("#"));
    ck_assert_int_eq((int)aigw_tier_file_count(file), 0);
}
END_TEST

START_TEST(twice_in_one_tier_is_fine_and_in_two_is_not)
{
    ck_assert(reads("a: x x\na: x"));
    ck_assert(!reads("a: x\n\nb: y x\n"));
    ck_assert_int_eq(fault.line, 3);
    ck_assert_ptr_nonnull(strstr(fault.message, "x is in the tier a already"));
}
END_TEST

START_TEST(mistakes_have_lines)
{
    static const char *const wrong[] = {"alice bob", "pro",      ": alice",   "  : alice", "a: \"x",     "a: \"x\"y",
                                        "a: \"\"",   "a\x01: x", "a: x\x7fy", "a: \xff",   "a: \xc2\x85"};
    apr_size_t i;

    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64] = "ok: z\n";

        ck_assert_msg(!reads(strcat(text, wrong[i])), "%s", wrong[i]);
        ck_assert_int_eq(fault.line, 2);
    }
    ck_assert(!reads_bytes("a: x\0y", 6));
}
END_TEST

START_TEST(names_are_not_too_long)
{
    char text[400] = "a: ";

    memset(text + 3, 'x', 256);
    ck_assert(reads(text));
    text[3 + 256] = 'x';
    ck_assert(!reads(text));
}
END_TEST

Suite *suite_tier_file(void)
{
    Suite *s = suite_create("tier_file");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, users_have_tiers);
    tcase_add_test(c, names_in_quotes);
    tcase_add_test(c, nothing_is_a_file_too);
    tcase_add_test(c, twice_in_one_tier_is_fine_and_in_two_is_not);
    tcase_add_test(c, mistakes_have_lines);
    tcase_add_test(c, names_are_not_too_long);
    suite_add_tcase(s, c);
    return s;
}
