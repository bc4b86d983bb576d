/* aigw_splice */
#include "suites.h"
#include "aigw_splice.h"

#include <apr_strings.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_json_scan_t scan;
static aigw_splice_t *splice;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static void begin(const char *text)
{
    ck_assert_int_eq(aigw_json_scan(&scan, pool, text, strlen(text)), APR_SUCCESS);
    splice = aigw_splice_make(pool, &scan);
}

static apr_status_t replace(apr_size_t start, apr_size_t end, const char *insert)
{
    return aigw_splice_replace(splice, start, end, insert, strlen(insert));
}

/* The pieces put together. */
static const char *result(void)
{
    apr_size_t total = 77, sum = 0;
    int n = -1, i;
    struct iovec *pieces = aigw_splice_pieces(splice, pool, &n, &total);
    char *text = apr_pstrdup(pool, "");

    ck_assert_ptr_nonnull(pieces);
    for (i = 0; i < n; ++i) {
        ck_assert_int_gt(pieces[i].iov_len, 0);
        sum += pieces[i].iov_len;
        text = apr_pstrcat(pool, text, apr_pstrmemdup(pool, pieces[i].iov_base, pieces[i].iov_len), NULL);
    }
    ck_assert_int_eq(total, sum);
    (void)aigw_splice_pieces(splice, pool, &n, NULL);
    return text;
}

/* The result is JSON, too. */
static void expect_json(const char *expected)
{
    const char *text = result();
    aigw_json_scan_t again;

    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(aigw_json_scan(&again, pool, text, strlen(text)), APR_SUCCESS);
}

START_TEST(without_edits_the_text_is_one_piece)
{
    int n;
    struct iovec *pieces;
    apr_size_t total;

    begin("{\"a\":1}");
    pieces = aigw_splice_pieces(splice, pool, &n, &total);
    ck_assert_int_eq(n, 1);
    ck_assert_ptr_eq(pieces[0].iov_base, scan.text);
    ck_assert_int_eq(pieces[0].iov_len, 7);
    ck_assert_int_eq(total, 7);
}
END_TEST

START_TEST(the_text_itself_is_not_copied)
{
    int n;
    struct iovec *pieces;

    begin("[1,2,3]");
    ck_assert_int_eq(replace(3, 4, "two"), APR_SUCCESS);
    pieces = aigw_splice_pieces(splice, pool, &n, NULL);
    ck_assert_int_eq(n, 3);
    ck_assert_ptr_eq(pieces[0].iov_base, scan.text);
    ck_assert_int_eq(memcmp(pieces[1].iov_base, "two", 3), 0);
    ck_assert_ptr_eq(pieces[2].iov_base, scan.text + 4);
    ck_assert_str_eq(result(), "[1,two,3]");
}
END_TEST

START_TEST(edits_in_any_order_stand_in_the_order_of_the_text)
{
    begin("[1,2,3,4]");
    ck_assert_int_eq(replace(7, 8, "D"), APR_SUCCESS);
    ck_assert_int_eq(replace(1, 2, "A"), APR_SUCCESS);
    ck_assert_int_eq(replace(3, 6, ""), APR_SUCCESS);
    ck_assert_int_eq(replace(9, 9, "end"), APR_SUCCESS);
    ck_assert_int_eq(replace(0, 0, "begin"), APR_SUCCESS);
    ck_assert_str_eq(result(), "begin[A,,D]end");
}
END_TEST

START_TEST(inserts_at_one_place_keep_their_order)
{
    begin("[1]");
    ck_assert_int_eq(replace(1, 2, "X"), APR_SUCCESS);
    ck_assert_int_eq(replace(1, 1, "a"), APR_SUCCESS);
    ck_assert_int_eq(replace(2, 2, "y"), APR_SUCCESS);
    ck_assert_int_eq(replace(1, 1, "b"), APR_SUCCESS);
    ck_assert_int_eq(replace(2, 2, "z"), APR_SUCCESS);
    ck_assert_str_eq(result(), "[abXyz]");
}
END_TEST

START_TEST(the_whole_text_may_go)
{
    int n;
    apr_size_t total;

    begin("[1]");
    ck_assert_int_eq(replace(0, 3, ""), APR_SUCCESS);
    ck_assert_ptr_nonnull(aigw_splice_pieces(splice, pool, &n, &total));
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(total, 0);
}
END_TEST

START_TEST(what_is_inserted_is_copied)
{
    char insert[] = "new";

    begin("[1]");
    ck_assert_int_eq(aigw_splice_replace(splice, 1, 2, insert, 3), APR_SUCCESS);
    memset(insert, 'x', 3);
    ck_assert_str_eq(result(), "[new]");
    ck_assert_int_eq(aigw_splice_replace(splice, 0, 0, NULL, 0), APR_SUCCESS);
}
END_TEST

START_TEST(overlaps_and_bad_bounds_are_refused)
{
    begin("[1,2,3,4]");
    ck_assert_int_eq(replace(3, 6, "x"), APR_SUCCESS);
    ck_assert_int_eq(replace(3, 6, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(4, 5, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(2, 7, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(2, 4, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(5, 7, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(4, 4, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(3, 4, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(2, 1, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(9, 10, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(10, 10, "y"), APR_EINVAL);
    ck_assert_int_eq(replace((apr_size_t)-1, (apr_size_t)-1, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(1, 3, "a"), APR_SUCCESS);
    ck_assert_int_eq(replace(6, 8, "b"), APR_SUCCESS);
    ck_assert_str_eq(result(), "[axb]");
}
END_TEST

START_TEST(an_insert_blocks_what_would_swallow_it)
{
    begin("[1,2]");
    ck_assert_int_eq(replace(2, 2, "x"), APR_SUCCESS);
    ck_assert_int_eq(replace(1, 4, "y"), APR_EINVAL);
    ck_assert_int_eq(replace(1, 2, "y"), APR_SUCCESS);
    ck_assert_int_eq(replace(2, 3, ";"), APR_SUCCESS);
    ck_assert_str_eq(result(), "[yx;2]");
}
END_TEST

START_TEST(only_so_many_edits)
{
    int i;

    begin("[1,2,3,4,5,6,7,8,9]");
    for (i = 0; i < AIGW_SPLICES_MAX; ++i) {
        ck_assert_int_eq(replace((apr_size_t)i * 2 + 1, (apr_size_t)i * 2 + 2, "x"), APR_SUCCESS);
    }
    ck_assert_int_eq(replace(17, 18, "x"), APR_EINVAL);
    ck_assert_str_eq(result(), "[x,x,x,x,x,x,x,x,9]");
}
END_TEST

START_TEST(a_member_that_is_there_is_replaced)
{
    begin("{\"model\": \"gpt\" , \"stream\":true}");
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "model", "\"other\""), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "stream", "false"), APR_SUCCESS);
    expect_json("{\"model\": \"other\" , \"stream\":false}");
}
END_TEST

START_TEST(a_member_whose_name_is_escaped_is_found)
{
    begin("{\"m\\u006fdel\":1}");
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "model", "2"), APR_SUCCESS);
    expect_json("{\"m\\u006fdel\":2}");
}
END_TEST

START_TEST(a_member_that_is_not_there_is_added)
{
    begin(" { \"a\":1} ");
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "b", "2"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "c d", "[3]"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a", "0"), APR_SUCCESS);
    expect_json(" {\"b\":2,\"c d\":[3], \"a\":0} ");
}
END_TEST

START_TEST(members_are_added_to_an_empty_object)
{
    begin("{ }");
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a", "1"), APR_SUCCESS);
    expect_json("{\"a\":1 }");
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "b", "2"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "c", "3"), APR_SUCCESS);
    expect_json("{\"a\":1,\"b\":2,\"c\":3 }");
}
END_TEST

START_TEST(members_of_nested_objects_are_set)
{
    aigw_json_span_t options, empty;

    begin("{\"x\":1,\"o\":{\"u\":false,\"v\":{}},\"e\":{},\"u\":5}");
    options = aigw_json_member(&scan, "o")->value;
    empty = aigw_json_member(&scan, "e")->value;
    ck_assert_int_eq(aigw_splice_set(splice, &options, "u", "true"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &options, "w", "1"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &empty, "w", "2"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &empty, "y", "3"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "w", "4"), APR_SUCCESS);
    expect_json("{\"w\":4,\"x\":1,\"o\":{\"w\":1,\"u\":true,\"v\":{}},\"e\":{\"w\":2,\"y\":3},\"u\":5}");
}
END_TEST

START_TEST(a_nested_member_that_stands_twice_is_replaced_twice)
{
    begin("{\"o\":{\"u\":1,\"u\":2}}");
    ck_assert_int_eq(aigw_splice_set(splice, &scan.members[0].value, "u", "3"), APR_SUCCESS);
    expect_json("{\"o\":{\"u\":3,\"u\":3}}");
}
END_TEST

START_TEST(what_cannot_be_set_is_refused)
{
    aigw_json_span_t array, beyond;
    int i;

    begin("{\"a\":1,\"l\":[],\"o\":{\"d\":1,\"d\":2,\"d\":3,\"d\":4,\"d\":5,\"d\":6,\"d\":7,\"d\":8,\"d\":9}}");
    array = aigw_json_member(&scan, "l")->value;
    beyond = scan.root;
    beyond.end = scan.len + 1;
    ck_assert_int_eq(aigw_splice_set(splice, &array, "a", "1"), APR_EINVAL);
    ck_assert_int_eq(aigw_splice_set(splice, &beyond, "a", "1"), APR_EINVAL);
    beyond.start = beyond.end = 1;
    ck_assert_int_eq(aigw_splice_set(splice, &beyond, "a", "1"), APR_EINVAL);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a\"b", "1"), APR_EINVAL);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a\\b", "1"), APR_EINVAL);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a\nb", "1"), APR_EINVAL);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a", "2"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "a", "3"), APR_EINVAL);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "new", "2"), APR_SUCCESS);
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "new", "3"), APR_EINVAL);
    for (i = 2; i < AIGW_SPLICES_MAX; ++i) {
        ck_assert_int_eq(aigw_splice_set(splice, &scan.root, apr_itoa(pool, i), "0"), APR_SUCCESS);
    }
    ck_assert_int_eq(aigw_splice_set(splice, &scan.root, "more", "0"), APR_EINVAL);
    splice = aigw_splice_make(pool, &scan);
    ck_assert_int_eq(aigw_splice_set(splice, &aigw_json_member(&scan, "o")->value, "d", "0"), APR_EINVAL);
}
END_TEST

Suite *suite_splice(void)
{
    Suite *s = suite_create("splice");
    TCase *c = tcase_create("splice");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, without_edits_the_text_is_one_piece);
    tcase_add_test(c, the_text_itself_is_not_copied);
    tcase_add_test(c, edits_in_any_order_stand_in_the_order_of_the_text);
    tcase_add_test(c, inserts_at_one_place_keep_their_order);
    tcase_add_test(c, the_whole_text_may_go);
    tcase_add_test(c, what_is_inserted_is_copied);
    tcase_add_test(c, overlaps_and_bad_bounds_are_refused);
    tcase_add_test(c, an_insert_blocks_what_would_swallow_it);
    tcase_add_test(c, only_so_many_edits);
    tcase_add_test(c, a_member_that_is_there_is_replaced);
    tcase_add_test(c, a_member_whose_name_is_escaped_is_found);
    tcase_add_test(c, a_member_that_is_not_there_is_added);
    tcase_add_test(c, members_are_added_to_an_empty_object);
    tcase_add_test(c, members_of_nested_objects_are_set);
    tcase_add_test(c, a_nested_member_that_stands_twice_is_replaced_twice);
    tcase_add_test(c, what_cannot_be_set_is_refused);
    suite_add_tcase(s, c);
    return s;
}
