/* aigw_key_file: whole files, and the table. Lines: test_key_line.c */
#include "suites.h"
#include "aigw_key_file.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define D1 "11111111111111111111111111111111ffffffffffffffffffffffffffffffff"
#define D2 "2222222222222222222222222222222222222222222222222222222222222222"
#define D3 "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"

#define LINE(id, digest) "{\"id\":\"" id "\",\"sha256\":\"" digest "\",\"user\":\"alice\"}"

static apr_pool_t *pool;
static aigw_key_fault_t fault;
static aigw_key_file_t *file;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

/* From a block of exactly this length that is overwritten afterwards: nothing may read beyond it or point into it. */
static int reads_bytes(const char *text, apr_size_t len)
{
    static aigw_key_file_t before;
    char *exact = malloc(len ? len : 1);
    apr_status_t rv;

    memcpy(exact, text, len);
    file = &before;
    fault.line = -1;
    fault.message = "before";
    rv = aigw_key_file_read(&file, exact, len, pool, &fault);
    memset(exact, 'Z', len);
    free(exact);
    if (rv == APR_SUCCESS) {
        ck_assert(file && file != &before);
        ck_assert_int_eq(fault.line, 0);
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

static void digest_of(unsigned char digest[AIGW_SHA256], const char *hex)
{
    int i;

    for (i = 0; i < AIGW_SHA256; i++) {
        unsigned n;

        sscanf(hex + 2 * i, "%2x", &n);
        digest[i] = (unsigned char)n;
    }
}

/* The id of the key, "-" if there is none. */
static const char *found(const char *hex)
{
    unsigned char digest[AIGW_SHA256];
    const aigw_key_t *k;

    digest_of(digest, hex);
    k = aigw_key_file_find(file, digest);
    return k ? k->id : "-";
}

START_TEST(files_without_keys)
{
    static const char *const texts[] = {"", "\n", "\r\n", "#", "# a\n", "\n\n#{\n \t # x\r\n\t\n   ", "\r"};
    apr_size_t i;

    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(reads(texts[i]), "%d", (int)i);
        ck_assert_int_eq(file->n, 0);
        ck_assert_str_eq(found(D1), "-");
        ck_assert_str_eq(found("0000000000000000000000000000000000000000000000000000000000000000"), "-");
    }
    ck_assert_int_eq(aigw_key_file_read(&file, NULL, 0, pool, &fault), APR_SUCCESS);
    ck_assert_int_eq(file->n, 0);
    ck_assert(reads_bytes("# a\0b\xff\n", 7)); /* whatever is in a comment */
}
END_TEST

START_TEST(line_ends)
{
    static const char *const texts[] = {
        LINE("a", D1) "\n" LINE("b", D2) "\n",
        LINE("a", D1) "\n" LINE("b", D2),
        LINE("a", D1) "\r\n" LINE("b", D2) "\r\n",
        LINE("a", D1) "\r\n" LINE("b", D2) "\r",
        "\r\n\r\n" LINE("a", D1) "\r\n\r\n \t" LINE("b", D2) "\t \r\n# end\r\n",
        "# c\n" LINE("a", D1) "\n#" LINE("c", D3) "\n\n   # d\n" LINE("b", D2) "\n#",
    };
    apr_size_t i;

    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(reads(texts[i]), "%d: %s", (int)i, fault.message);
        ck_assert_int_eq(file->n, 2);
        ck_assert_str_eq(file->keys[0]->id, "a");
        ck_assert_str_eq(file->keys[1]->id, "b");
        ck_assert_str_eq(file->keys[1]->user, "alice");
        ck_assert_str_eq(found(D1), "a");
        ck_assert_str_eq(found(D2), "b");
        ck_assert_str_eq(found(D3), "-");
    }
}
END_TEST

START_TEST(a_fault_has_its_line)
{
    static const struct {
        const char *text;
        int line;
        const char *message; /* its beginning */
    } cases[] = {
        {"x", 1, "This is not a JSON object"},
        {"\n\n# c\nx\n", 4, "This is not a JSON object"},
        {"\r\n\r\n[]", 3, "This is JSON, but not an object."},
        {LINE("a", D1) "\n\n{\"id\":\"b\"}\n" LINE("a", D1), 3, "\"user\" is missing."},
        {LINE("a", D1) "\n" LINE("b", D2) "\n{\"Id\":1}", 3, "\"Id\" is not known."},
        {LINE("a", D1) "\n\n# c\n" LINE("b", D2) "\n" LINE("a", D3), 5, "The id \"a\" is there twice."},
        {LINE("a", D1) "\n# c\n" LINE("b", D1) "\n" LINE("c", D1), 3, "The keys \"a\" and \"b\" have the same sha256."},
        {LINE("a", D1) "\n" LINE("a", D1), 2, "The id \"a\" is there twice."},
        {LINE("x", D2) "\n" LINE("a", D3) "\n" LINE("b", "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD"), 3,
         "The keys \"a\" and \"b\" have the same sha256."},
        {LINE("a", D1) "\r" LINE("b", D2), 1, "This is not a JSON object"}, /* a CR alone ends no line */
        {LINE("a", D1) LINE("b", D2), 1, "This is not a JSON object"},
        {"{\"id\":\"a\",\n\"sha256\":\"" D1 "\",\"user\":\"a\"}", 1, "This is not a JSON object"},
        {"\v" LINE("a", D1), 1, "This is not a JSON object"},
        {"\xef\xbb\xbf# a byte order mark\n", 1, "This is not a JSON object"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(!reads(cases[i].text), "%d", (int)i);
        ck_assert_msg(fault.line == cases[i].line, "%d: line %d", (int)i, fault.line);
        ck_assert_msg(!strncmp(fault.message, cases[i].message, strlen(cases[i].message)), "%d: %s", (int)i, fault.message);
    }
    ck_assert(reads(LINE("a", D1) "\n" LINE("A", D2))); /* ids are not folded */
}
END_TEST

START_TEST(nul_bytes_are_refused)
{
    static const char good[] = LINE("a", D1);
    apr_size_t i;

    for (i = 0; i <= sizeof good - 1; i++) { /* put in at every place */
        char text[sizeof good + 3] = "#\n";

        memcpy(text + 2, good, i);
        memcpy(text + 3 + i, good + i, sizeof good - 1 - i);
        ck_assert_msg(!reads_bytes(text, sizeof good + 2), "at %d", (int)i);
        ck_assert_int_eq(fault.line, 2);
    }
    ck_assert(!reads_bytes("\0", 1));
    ck_assert(!reads_bytes("#\n \0", 4));
}
END_TEST

START_TEST(only_keys_have_a_length)
{
    char text[AIGW_KEY_LINE_MAX + 3];

    memset(text, ' ', sizeof text);
    memcpy(text, LINE("a", D1), strlen(LINE("a", D1)));
    text[AIGW_KEY_LINE_MAX] = '\n'; /* is no part of it */
    text[AIGW_KEY_LINE_MAX + 1] = '\0';
    ck_assert(reads(text));
    ck_assert_int_eq(file->n, 1);
    text[AIGW_KEY_LINE_MAX] = '\r'; /* this one is */
    ck_assert(!reads(text));
    memset(text, ' ', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert(reads(text));
    text[0] = '#';
    ck_assert(reads(text));
    ck_assert_int_eq(file->n, 0);
}
END_TEST

static const char full_line[] =
    "{\"id\":\"K-1.a\",\"sha256\":\"" D1 "\",\"user\":\"alice\",\"tier\":\"pro\",\"scopes\":[\"chat\",\"models\"],"
    "\"models\":[\"gpt-*\"],\"expires\":\"2027-01-01T00:00:00Z\",\"disabled\":true,\"created\":\"today\","
    "\"note\":\"\xc3\xa4 \\\"b\\\\c\\\" /\"}";

START_TEST(every_cut_line_is_refused)
{
    apr_size_t n;

    for (n = 1; n < strlen(full_line); n++) {
        ck_assert_msg(!reads_bytes(full_line, n), "%d", (int)n);
    }
    ck_assert(reads(full_line));
}
END_TEST

/* ------------------------------------------------------------------ the table */

#define REST "000000000000000000000000000000000000000000000000000000"

START_TEST(digests_of_one_slot_are_told_apart)
{
    char hex[65];
    int i;

    ck_assert(reads(LINE("a", "deadbeef" REST "01") "\n" LINE("b", "deadbeef" REST "02") "\n" LINE("c", "deadbeef" REST "03") "\n"));
    ck_assert_str_eq(found("deadbeef" REST "01"), "a");
    ck_assert_str_eq(found("deadbeef" REST "02"), "b");
    ck_assert_str_eq(found("deadbeef" REST "03"), "c");
    ck_assert_str_eq(found("deadbeef" REST "00"), "-");
    ck_assert_str_eq(found("deadbeef" REST "04"), "-");
    for (i = 0; i < 64; i++) { /* every digit counts */
        strcpy(hex, "deadbeef" REST "01");
        hex[i] = hex[i] == '7' ? '8' : '7';
        ck_assert_str_eq(found(hex), "-");
    }
}
END_TEST

START_TEST(the_table_goes_on_at_its_beginning)
{
    ck_assert(reads(LINE("a", "ffffffff" REST "01") "\n" LINE("b", "ffffffff" REST "02") "\n" LINE("c", "ffffffff" REST "03") "\n" LINE(
        "d", "00000000" REST "04")));
    ck_assert_int_eq(file->mask, 15);
    ck_assert_int_eq(file->slots[15], 1);
    ck_assert_int_eq(file->slots[0], 2);
    ck_assert_int_eq(file->slots[1], 3);
    ck_assert_int_eq(file->slots[2], 4);
    ck_assert_int_eq(file->slots[3], 0);
    ck_assert_str_eq(found("ffffffff" REST "01"), "a");
    ck_assert_str_eq(found("ffffffff" REST "02"), "b");
    ck_assert_str_eq(found("ffffffff" REST "03"), "c");
    ck_assert_str_eq(found("00000000" REST "04"), "d");
    ck_assert_str_eq(found("ffffffff" REST "04"), "-");
    ck_assert_str_eq(found("00000000" REST "01"), "-");
}
END_TEST

/* Whatever the number of keys, at least half of the table is free: no search is long, and each ends. */
START_TEST(at_least_half_of_the_table_is_free)
{
    int n, i;

    for (n = 0; n <= 70; n++) {
        apr_array_header_t *lines = apr_array_make(pool, n + 1, sizeof(char *));
        apr_uint32_t used = 0, at;

        for (i = 0; i < n; i++) {
            APR_ARRAY_PUSH(lines, char *) = apr_psprintf(pool, "{\"id\":\"k%d\",\"sha256\":\"%08x" REST "01\",\"user\":\"a\"}", i, i * 7);
        }
        ck_assert(reads(apr_array_pstrcat(pool, lines, '\n')));
        ck_assert_int_eq(file->n, n);
        ck_assert_int_eq(file->mask & (file->mask + 1), 0);
        for (at = 0; at <= file->mask; at++) {
            used += file->slots[at] != 0;
        }
        ck_assert_int_eq(used, n);
        ck_assert_int_ge(file->mask + 1, 2 * n);
        for (i = 0; i < n; i++) {
            ck_assert_str_eq(found(apr_psprintf(pool, "%08x" REST "01", i * 7)), apr_psprintf(pool, "k%d", i));
        }
    }
}
END_TEST

START_TEST(a_hundred_thousand_keys)
{
    enum { KEYS = 100000, ROOM = 160 };
    static const char hex[] = "0123456789abcdef";
    char *text = malloc((apr_size_t)KEYS * ROOM), *end = text, name[32];
    unsigned char digest[AIGW_SHA256];
    apr_time_t began = apr_time_now();
    int i, j;

    for (i = 0; i < KEYS; i++) {
        MUST(aigw_api_key_digest(name, (apr_size_t)sprintf(name, "key %d", i), digest) == APR_SUCCESS);
        end += sprintf(end, "{\"id\":\"k%d\",\"sha256\":\"", i);
        for (j = 0; j < AIGW_SHA256; j++) {
            *end++ = hex[digest[j] >> 4];
            *end++ = hex[digest[j] & 15];
        }
        end += sprintf(end, "\",\"user\":\"u%d\"}\n", i % 100);
    }
    MUST(end < text + (apr_size_t)KEYS * ROOM);
    MUST(aigw_key_file_read(&file, text, (apr_size_t)(end - text), pool, &fault) == APR_SUCCESS);
    free(text);
    MUST(file->n == KEYS);
    for (i = 0; i < 2 * KEYS; i++) {
        const aigw_key_t *k;

        MUST(aigw_api_key_digest(name, (apr_size_t)sprintf(name, "key %d", i), digest) == APR_SUCCESS);
        k = aigw_key_file_find(file, digest);
        if (i >= KEYS) {
            MUST(!k);
            continue;
        }
        sprintf(name, "k%d", i);
        MUST(k == file->keys[i] && !strcmp(k->id, name) && !memcmp(k->digest, digest, AIGW_SHA256));
    }
    ck_assert_int_lt(apr_time_sec(apr_time_now() - began), 30); /* a second; quadratic would be minutes */
}
END_TEST

START_TEST(disabled_and_expired_keys_are_found)
{
    ck_assert(reads("{\"id\":\"a\",\"sha256\":\"" D1 "\",\"user\":\"u\",\"disabled\":true}\n"
                    "{\"id\":\"b\",\"sha256\":\"" D2 "\",\"user\":\"u\",\"expires\":\"1971-01-01T00:00:00Z\"}\n"));
    ck_assert_str_eq(found(D1), "a");
    ck_assert_str_eq(found(D2), "b");
}
END_TEST

Suite *suite_key_file(void)
{
    Suite *s = suite_create("key_file");
    TCase *c = tcase_create("key_file");

    tcase_add_checked_fixture(c, make_pool, drop_pool);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, files_without_keys);
    tcase_add_test(c, line_ends);
    tcase_add_test(c, a_fault_has_its_line);
    tcase_add_test(c, nul_bytes_are_refused);
    tcase_add_test(c, only_keys_have_a_length);
    tcase_add_test(c, every_cut_line_is_refused);
    tcase_add_test(c, digests_of_one_slot_are_told_apart);
    tcase_add_test(c, the_table_goes_on_at_its_beginning);
    tcase_add_test(c, at_least_half_of_the_table_is_free);
    tcase_add_test(c, a_hundred_thousand_keys);
    tcase_add_test(c, disabled_and_expired_keys_are_found);
    suite_add_tcase(s, c);
    return s;
}
