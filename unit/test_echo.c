/* aigw_echo */
#include "suites.h"
#include "aigw_echo.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_echo_t *echo;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    echo = aigw_echo_make(pool);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

/* The text is in a block of its own size, so that the sanitizer sees a read beyond it. */
static void prompt(const char *text, int answer)
{
    apr_size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);

    MUST(copy != NULL);
    memcpy(copy, text, len);
    aigw_echo_prompt(echo, copy, len, answer);
    free(copy);
}

/* The first n words of the answer. */
static const char *answer(int n)
{
    char *text = apr_pstrdup(pool, "");
    int i;

    for (i = 0; i < n; ++i) {
        apr_size_t len;
        const char *word = aigw_echo_word(echo, i, &len);

        text = apr_pstrcat(pool, text, apr_pstrmemdup(pool, word, len), NULL);
    }
    return text;
}

START_TEST(words_are_counted_and_said_back)
{
    const char *finish = NULL;

    prompt("You are helpful.", 0);
    prompt("  the quick\t\nbrown\v\f\rfox  ", 1);
    ck_assert_int_eq(aigw_echo_prompt_tokens(echo), 7);
    ck_assert_int_eq(aigw_echo_plan(echo, 0, -1, &finish), 4);
    ck_assert_str_eq(finish, "stop");
    ck_assert_str_eq(answer(4), "the quick brown fox");
    ck_assert_str_eq(answer(9), "the quick brown fox the quick brown fox the");
}
END_TEST

START_TEST(answerable_texts_are_joined_in_order)
{
    const char *finish;

    prompt("a b", 1);
    prompt("not this", 0);
    prompt("c", 1);
    ck_assert_int_eq(aigw_echo_plan(echo, 0, -1, &finish), 3);
    ck_assert_str_eq(answer(4), "a b c a");
}
END_TEST

START_TEST(the_plan_keeps_to_the_setting_and_to_the_limit)
{
    const char *finish;

    prompt("a b c", 1);
    ck_assert_int_eq(aigw_echo_plan(echo, 10, -1, &finish), 10);
    ck_assert_str_eq(finish, "stop");
    ck_assert_int_eq(aigw_echo_plan(echo, 10, 10, &finish), 10);
    ck_assert_str_eq(finish, "stop");
    ck_assert_int_eq(aigw_echo_plan(echo, 10, 9, &finish), 9);
    ck_assert_str_eq(finish, "length");
    ck_assert_int_eq(aigw_echo_plan(echo, 0, 2, &finish), 2);
    ck_assert_str_eq(finish, "length");
    ck_assert_int_eq(aigw_echo_plan(echo, 0, 0, &finish), 0);
    ck_assert_str_eq(finish, "length");
    ck_assert_int_eq(aigw_echo_plan(echo, 2, 1000, &finish), 2);
    ck_assert_str_eq(finish, "stop");
}
END_TEST

START_TEST(a_prompt_without_words_is_answered_with_dots)
{
    const char *finish;

    prompt("only the system speaks", 0);
    prompt(" \n\t ", 1);
    prompt("", 1);
    aigw_echo_prompt(echo, NULL, 0, 1);
    ck_assert_int_eq(aigw_echo_prompt_tokens(echo), 4);
    ck_assert_int_eq(aigw_echo_plan(echo, 0, -1, &finish), 1);
    ck_assert_str_eq(finish, "stop");
    ck_assert_str_eq(answer(1), "...");
    ck_assert_int_eq(aigw_echo_plan(echo, 3, -1, &finish), 3);
    ck_assert_str_eq(answer(3), "... ... ...");
    ck_assert_int_eq(aigw_echo_plan(echo, 0, 0, &finish), 0);
    ck_assert_str_eq(finish, "length");
}
END_TEST

START_TEST(the_words_are_copied)
{
    char text[] = "hello world";

    aigw_echo_prompt(echo, text, strlen(text), 1);
    memset(text, 'x', sizeof(text));
    ck_assert_str_eq(answer(2), "hello world");
}
END_TEST

START_TEST(an_index_far_away_or_negative_is_a_word_too)
{
    apr_size_t len;

    prompt("a bb", 1);
    ck_assert_int_eq(memcmp(aigw_echo_word(echo, APR_INT64_MAX, &len), " bb", 3), 0);
    ck_assert_int_eq(len, 3);
    ck_assert_int_eq(memcmp(aigw_echo_word(echo, -5, &len), "a", 1), 0);
    ck_assert_int_eq(len, 1);
}
END_TEST

START_TEST(only_so_many_words_are_kept_but_all_are_counted)
{
    const char *finish;
    apr_size_t len;
    int i;

    for (i = 0; i < AIGW_ECHO_WORDS_MAX + 10; ++i) {
        prompt(apr_psprintf(pool, "w%d", i), 1);
    }
    ck_assert_int_eq(aigw_echo_prompt_tokens(echo), AIGW_ECHO_WORDS_MAX + 10);
    ck_assert_int_eq(aigw_echo_plan(echo, 0, -1, &finish), AIGW_ECHO_WORDS_MAX + 10);
    ck_assert_int_eq(memcmp(aigw_echo_word(echo, AIGW_ECHO_WORDS_MAX - 1, &len), " w4095", 6), 0);
    ck_assert_int_eq(memcmp(aigw_echo_word(echo, AIGW_ECHO_WORDS_MAX, &len), " w0", 3), 0);
    ck_assert_int_eq(len, 3);
}
END_TEST

START_TEST(a_long_word_is_cut_between_two_characters)
{
    /* bytes before a character of four that begins at MAX - 3 .. MAX, and what is said of the word then */
    static const int said[] = {AIGW_ECHO_WORD_MAX - 3, AIGW_ECHO_WORD_MAX - 2, AIGW_ECHO_WORD_MAX - 1, AIGW_ECHO_WORD_MAX};
    char text[AIGW_ECHO_WORD_MAX + 10];
    apr_size_t len;
    const char *word;

    memset(text, 'x', sizeof(text));
    memcpy(text + said[_i], "\xf0\x9f\x98\x80", 4);
    aigw_echo_prompt(echo, text, sizeof(text), 1);
    word = aigw_echo_word(echo, 0, &len);
    ck_assert_int_eq(len, said[_i]);
    ck_assert_int_eq(memcmp(word, text, len), 0);
}
END_TEST

START_TEST(a_word_of_the_longest_length_is_said_whole)
{
    char text[AIGW_ECHO_WORD_MAX];
    apr_size_t len;

    memset(text, 'x', sizeof(text));
    aigw_echo_prompt(echo, text, sizeof(text), 1);
    aigw_echo_word(echo, 0, &len);
    ck_assert_int_eq(len, AIGW_ECHO_WORD_MAX);
    /* bytes that are not UTF-8 are cut anywhere, but are cut */
    echo = aigw_echo_make(pool);
    aigw_echo_prompt(echo, memset(apr_palloc(pool, 20000), 0x80, 20000), 20000, 1);
    aigw_echo_word(echo, 0, &len);
    ck_assert(len > AIGW_ECHO_WORD_MAX - 4 && len <= AIGW_ECHO_WORD_MAX);
}
END_TEST

Suite *suite_echo(void)
{
    Suite *s = suite_create("echo");
    TCase *c = tcase_create("echo");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, words_are_counted_and_said_back);
    tcase_add_test(c, answerable_texts_are_joined_in_order);
    tcase_add_test(c, the_plan_keeps_to_the_setting_and_to_the_limit);
    tcase_add_test(c, a_prompt_without_words_is_answered_with_dots);
    tcase_add_test(c, the_words_are_copied);
    tcase_add_test(c, an_index_far_away_or_negative_is_a_word_too);
    tcase_add_test(c, only_so_many_words_are_kept_but_all_are_counted);
    tcase_add_loop_test(c, a_long_word_is_cut_between_two_characters, 0, 4);
    tcase_add_test(c, a_word_of_the_longest_length_is_said_whole);
    suite_add_tcase(s, c);
    return s;
}
