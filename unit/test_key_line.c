/* aigw_key_file: one line of it, read and written. */
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
static aigw_key_t key;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

/* From a block of exactly this length that is overwritten afterwards: nothing may read beyond it or point into it. */
static int reads_line(const char *line)
{
    char *exact = malloc(strlen(line) + 1);
    apr_status_t rv;

    memcpy(exact, line, strlen(line));
    fault.message = NULL;
    rv = aigw_key_line_read(&key, exact, strlen(line), pool, &fault);
    memset(exact, 'Z', strlen(line));
    free(exact);
    ck_assert(rv == APR_SUCCESS || (rv == APR_EINVAL && fault.message));
    return rv == APR_SUCCESS;
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

static const char *name_at(const apr_array_header_t *names, int i)
{
    return APR_ARRAY_IDX(names, i, const char *);
}

static const char full_line[] =
    "{\"id\":\"K-1.a\",\"sha256\":\"" D1 "\",\"user\":\"alice\",\"tier\":\"pro\",\"scopes\":[\"chat\",\"models\"],"
    "\"models\":[\"gpt-*\"],\"expires\":\"2027-01-01T00:00:00Z\",\"disabled\":true,\"created\":\"today\","
    "\"note\":\"\xc3\xa4 \\\"b\\\\c\\\" /\"}";

START_TEST(every_member)
{
    unsigned char digest[AIGW_SHA256];

    ck_assert(reads_line(full_line));
    digest_of(digest, D1);
    ck_assert_str_eq(key.id, "K-1.a");
    ck_assert_mem_eq(key.digest, digest, AIGW_SHA256);
    ck_assert_str_eq(key.user, "alice");
    ck_assert_str_eq(key.tier, "pro");
    ck_assert_int_eq(key.scopes->nelts, 2);
    ck_assert_str_eq(name_at(key.scopes, 0), "chat");
    ck_assert_str_eq(name_at(key.scopes, 1), "models");
    ck_assert_int_eq(key.models->nelts, 1);
    ck_assert_str_eq(name_at(key.models, 0), "gpt-*");
    ck_assert_int_eq(key.expires, apr_time_from_sec(1798761600));
    ck_assert_int_eq(key.disabled, 1);
    ck_assert_str_eq(key.created, "today");
    ck_assert_str_eq(key.note, "\xc3\xa4 \"b\\c\" /");
}
END_TEST

START_TEST(what_is_not_said_is_not_there)
{
    memset(&key, 0xff, sizeof key);
    ck_assert(reads_line("{ \"user\" : \"bob\", \"sha256\" : \"" D2 "\", \"id\" : \"b\" }"));
    ck_assert_str_eq(key.user, "bob");
    ck_assert(!key.tier && !key.scopes && !key.models && !key.expires && !key.disabled && !key.created && !key.note);

    ck_assert(reads_line("{\"id\":\"b\",\"sha256\":\"" D2 "\",\"user\":\"bob\",\"tier\":null,\"scopes\":null,\"models\":null,\"expires\":"
                         "null,\"created\":null,\"note\":null,\"disabled\":false}"));
    ck_assert(!key.tier && !key.scopes && !key.models && !key.expires && !key.disabled && !key.created && !key.note);
}
END_TEST

START_TEST(an_empty_array_is_not_none)
{
    ck_assert(reads_line("{\"id\":\"b\",\"sha256\":\"" D2 "\",\"user\":\"bob\",\"scopes\":[],\"models\":[]}"));
    ck_assert(key.scopes && key.scopes->nelts == 0);
    ck_assert(key.models && key.models->nelts == 0);
}
END_TEST

START_TEST(the_required_members)
{
    ck_assert(!reads_line("{}"));
    ck_assert_str_eq(fault.message, "\"id\" is missing.");
    ck_assert(!reads_line("{\"sha256\":\"" D2 "\",\"user\":\"bob\"}"));
    ck_assert_str_eq(fault.message, "\"id\" is missing.");
    ck_assert(!reads_line("{\"id\":\"b\",\"user\":\"bob\"}"));
    ck_assert_str_eq(fault.message, "\"sha256\" is missing.");
    ck_assert(!reads_line("{\"id\":\"b\",\"sha256\":\"" D2 "\"}"));
    ck_assert_str_eq(fault.message, "\"user\" is missing.");
}
END_TEST

/* Each member with a value of each type. */
START_TEST(types)
{
    static const char *const values[] = {
        "null", "true",    "false", "1",      "1.5",    "\"\"",      "\"x\"",     "[]",
        "{}",   "[\"x\"]", "[1]",   "[\"\"]", "[null]", "[[\"x\"]]", "[\"x\",2]", "\"2027-01-01T00:00:00Z\""};
    static const struct {
        const char *member, *good; /* a character for each value, . if it is refused */
    } cases[] = {
        {"id", "......y........."},      {"sha256", "................"}, {"user", "......y........y"},    {"tier", "y.....y........y"},
        {"scopes", "y......y.y......"},  {"models", "y......y.y......"}, {"expires", "y..............y"}, {"disabled", ".yy............."},
        {"created", "y.....y........y"}, {"note", "y.....y........y"},
    };
    apr_size_t i, v;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *member = cases[i].member;

        for (v = 0; v < sizeof values / sizeof *values; v++) {
            const char *line = apr_psprintf(pool, "{%s%s%s\"%s\":%s}", strcmp(member, "id") ? "\"id\":\"a\"," : "",
                                            strcmp(member, "sha256") ? "\"sha256\":\"" D1 "\"," : "",
                                            strcmp(member, "user") ? "\"user\":\"a\"," : "", member, values[v]);
            int good = reads_line(line);

            ck_assert_msg(good == (cases[i].good[v] == 'y'), "%s", line);
            if (!good) {
                ck_assert_msg(!strncmp(fault.message, apr_psprintf(pool, "\"%s\" must be ", member), strlen(member) + 11), "%s: %s", line,
                              fault.message);
            }
        }
    }
}
END_TEST

START_TEST(digests_are_64_hexadecimal_digits)
{
    unsigned char digest[AIGW_SHA256];
    char hex[80];
    int n, c;

    for (n = 0; n <= 70; n++) {
        memset(hex, 'a', sizeof hex);
        hex[n] = '\0';
        ck_assert_int_eq(reads_line(apr_psprintf(pool, "{\"id\":\"a\",\"sha256\":\"%s\",\"user\":\"a\"}", hex)), n == 64);
    }
    for (n = 0; n < 64; n += 63) {
        for (c = 0x20; c < 0x7f; c++) {
            memset(hex, '0', 64);
            hex[64] = '\0';
            hex[n] = (char)c;
            ck_assert_int_eq(reads_line(apr_psprintf(pool, "{\"id\":\"a\",\"sha256\":\"%s\",\"user\":\"a\"}", hex)),
                             strchr("0123456789abcdefABCDEF", c) != NULL);
        }
    }
    ck_assert(reads_line("{\"id\":\"a\",\"sha256\":\"ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD\",\"user\":\"a\"}"));
    digest_of(digest, D3);
    ck_assert_mem_eq(key.digest, digest, AIGW_SHA256);
    ck_assert(!reads_line("{\"id\":\"a\",\"sha256\":\"11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11\",\"user\":\"a\"}"));
    /* neighbours of the digest in the structure are left alone */
    ck_assert(reads_line("{\"disabled\":true,\"user\":\"u\",\"sha256\":\"" D1 "\",\"id\":\"a\"}"));
    ck_assert_int_eq(key.disabled, 1);
    ck_assert_str_eq(key.user, "u");
}
END_TEST

START_TEST(ids_are_those_of_keys)
{
    char id[80];
    int n;

    for (n = 1; n <= 66; n++) {
        memset(id, 'a', sizeof id);
        id[n] = '\0';
        ck_assert_int_eq(reads_line(apr_psprintf(pool, "{\"id\":\"%s\",\"sha256\":\"" D1 "\",\"user\":\"a\"}", id)),
                         n <= AIGW_API_KEY_ID_MAX);
    }
    ck_assert(!reads_line(LINE("a_b", D1)));
    ck_assert_str_eq(fault.message, "\"id\" must be 1 to 64 letters, digits, dots or dashes.");
    ck_assert(!reads_line(LINE("\xc3\xa4", D1)));
    ck_assert(!reads_line(LINE("a b", D1)));
}
END_TEST

static int name_allowed(const char *json)
{
    static const struct {
        const char *before, *after;
    } members[] = {
        {"\"user\":\"", "\""},
        {"\"user\":\"u\",\"tier\":\"", "\""},
        {"\"user\":\"u\",\"scopes\":[\"a\",\"", "\"]"},
        {"\"user\":\"u\",\"models\":[\"", "\",\"a\"]"},
        {"\"user\":\"u\",\"note\":\"", "\""},
    };
    int i, n = 0;

    for (i = 0; i < 5; i++) {
        n += reads_line(apr_pstrcat(pool, "{\"id\":\"a\",\"sha256\":\"" D1 "\",", members[i].before, json, members[i].after, "}", NULL));
    }
    ck_assert_msg(n == 0 || n == 5, "%s: %d", json, n); /* the same rule for all of them */
    return n == 5;
}

START_TEST(names_are_1_to_256_bytes)
{
    char name[300];

    memset(name, 'n', sizeof name);
    name[256] = '\0';
    ck_assert(name_allowed(name));
    name[256] = 'n';
    name[257] = '\0';
    ck_assert(!name_allowed(name));
    memcpy(name + 255, "\xc3\xa4", 3);
    ck_assert(!name_allowed(name)); /* 256 characters */
    ck_assert(!name_allowed(""));
    ck_assert(name_allowed("n"));
}
END_TEST

START_TEST(names_have_no_control_characters)
{
    int c;

    for (c = 0; c < 0x100; c++) {
        int control = c < 0x20 || (c >= 0x7f && c < 0xa0);

        ck_assert_msg(c == '"' || c == '\\' || name_allowed(apr_psprintf(pool, "a\\u%04xb", c)) == !control, "U+%04X", c);
        ck_assert_msg(c == '"' || c == '\\' || name_allowed(apr_psprintf(pool, "\\u%04x", c)) == !control, "U+%04X", c);
        if (c && c < 0x20) { /* raw: not even JSON */
            ck_assert(!name_allowed(apr_psprintf(pool, "a%cb", c)));
        }
    }
    ck_assert(!name_allowed("a\x7f"));
    ck_assert(!name_allowed("a\xc2\x9b"));
    ck_assert(name_allowed("a\xc2\xa0"));
    ck_assert(name_allowed("\xc3\x80\xc3\x9f\xc5\x9b")); /* letters with bytes of 80 to 9F */
    ck_assert(name_allowed("\xe4\xbd\xa0\xf0\x9f\x98\x80"));
}
END_TEST

START_TEST(invalid_utf8_is_refused)
{
    static const char *const bad[] = {"\xff", "\xc3",    "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\x80", "\\ud800", "\\u0000"};
    apr_size_t i;

    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!name_allowed(bad[i]), "%d", (int)i);
        ck_assert(!reads_line(apr_psprintf(pool, "{\"%s\":1}", bad[i])));
        ck_assert(!reads_line(apr_psprintf(pool, "{\"id\":\"a%s\",\"sha256\":\"" D1 "\",\"user\":\"a\"}", bad[i])));
        ck_assert(!reads_line(apr_psprintf(pool, "{\"id\":\"a\",\"sha256\":\"" D1 "%s\",\"user\":\"a\"}", bad[i])));
        ck_assert(!reads_line(
            apr_psprintf(pool, "{\"id\":\"a\",\"sha256\":\"" D1 "\",\"user\":\"a\",\"expires\":\"2027-01-01T00:00:00Z%s\"}", bad[i])));
    }
}
END_TEST

START_TEST(expiry)
{
    static const struct {
        const char *text;
        apr_int64_t usec; /* -1: refused */
    } cases[] = {
        {"2027-01-01T00:00:00Z", 1798761600000000},
        {"2027-01-01T00:00:00.5+01:00", 1798758000500000},
        {"1970-01-01T00:00:00Z", 1}, /* long ago, and not 0: that is never */
        {"1970-01-01T01:00:00+01:00", 1},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1970-01-01T00:00:00.000002Z", 2},
        {"9999-12-31T23:59:59Z", 253402300799000000},
        {"9999-12-31T23:59:60Z", -1},
        {"1970-01-01T00:00:00+01:00", -1},
        {"2027-02-29T00:00:00Z", -1},
        {"2027-01-01", -1},
        {"never", -1},
        {"", -1},
        {"0", -1},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        int good = reads_line(apr_psprintf(pool, "{\"id\":\"a\",\"sha256\":\"" D1 "\",\"user\":\"a\",\"expires\":\"%s\"}", cases[i].text));

        ck_assert_msg(good == (cases[i].usec >= 0), "%s", cases[i].text);
        ck_assert_msg(!good || key.expires == cases[i].usec, "%s: %" APR_TIME_T_FMT, cases[i].text, key.expires);
        ck_assert(good || !strcmp(fault.message, "\"expires\" must be a date such as \"2027-01-31T00:00:00Z\"."));
    }
}
END_TEST

#define NOT_KNOWN " is not known. Known are id, sha256, user, tier, scopes, models, expires, disabled, created and note."

START_TEST(unknown_members)
{
    static const struct {
        const char *member, *shown;
    } cases[] = {
        {"disable", "\"disable\""},
        {"Disabled", "\"Disabled\""},
        {"expire_s", "\"expire_s\""},
        {"abcdefghijklmnopqrstuvwxyz012345", "\"abcdefghijklmnopqrstuvwxyz012345\""},
        {"abcdefghijklmnopqrstuvwxyz0123456", "A member"},
        {"", "A member"},
        {"id ", "A member"},
        {"\\u001b[31mred", "A member"},
        {"two\\nlines", "A member"},
        {"\xc3\xa4", "A member"},
        {"%s%n", "A member"},
        {"aigw_k1_secret", "A member"}, /* a key in the wrong place */
        {D1, "A member"},
    };
    apr_size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert(!reads_line(apr_psprintf(pool, "{\"id\":\"a\",\"sha256\":\"" D1 "\",\"user\":\"a\",\"%s\":null}", cases[i].member)));
        ck_assert_str_eq(fault.message, apr_pstrcat(pool, cases[i].shown, NOT_KNOWN, NULL));
    }
}
END_TEST

START_TEST(duplicate_members)
{
    static const char *const twice[] = {
        "\"id\":\"b\"",       "\"sha256\":\"" D1 "\"", "\"user\":\"a\"", "\"\\u0075ser\":\"b\"",
        "\"tier\":\"a\"",     "\"scopes\":[]",         "\"models\":[]",  "\"expires\":\"2027-01-01T00:00:00Z\"",
        "\"disabled\":false", "\"created\":\"a\"",     "\"note\":\"a\""};
    apr_size_t i;

    for (i = 0; i < sizeof twice / sizeof *twice; i++) {
        ck_assert_msg(!reads_line(apr_pstrcat(pool, "{", twice[i], ",", full_line + 1, NULL)), "%s", twice[i]);
        ck_assert_msg(strstr(fault.message, "a member twice (column ") != NULL, "%s", fault.message);
    }
}
END_TEST

START_TEST(what_is_no_object)
{
    static const char *const no_object[] = {"[]", "[" LINE("a", D1) "]"};
    static const char *const no_json[] = {"",
                                          "k1",
                                          "{",
                                          "null",
                                          "1",
                                          "\"x\"",
                                          "true",
                                          "{\"id\":\"a\"",
                                          "{'id':'a'}",
                                          LINE("a", D1) ",",
                                          LINE("a", D1) "x",
                                          LINE("a", D1) " " LINE("b", D2),
                                          LINE("a", D1) " # comment",
                                          "{\"id\":\"a\",\"sha256\":\"" D1 "\",\"user\":\"a\",}",
                                          "\xef\xbb\xbf" LINE("a", D1)};
    char deep[AIGW_KEY_LINE_MAX + 1];
    apr_size_t i;

    for (i = 0; i < sizeof no_object / sizeof *no_object; i++) {
        ck_assert(!reads_line(no_object[i]));
        ck_assert_str_eq(fault.message, "This is JSON, but not an object.");
    }
    for (i = 0; i < sizeof no_json / sizeof *no_json; i++) {
        ck_assert_msg(!reads_line(no_json[i]), "%s", no_json[i]);
        ck_assert_msg(!strncmp(fault.message, "This is not a JSON object on one line", 37), "%s", fault.message);
        ck_assert_msg(!strstr(fault.message, "column -"), "%s", fault.message);
    }
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    ck_assert(!reads_line(deep));
}
END_TEST

START_TEST(lines_have_a_length)
{
    char line[AIGW_KEY_LINE_MAX + 3];

    memset(line, ' ', sizeof line);
    memcpy(line, LINE("a", D1), strlen(LINE("a", D1)));
    line[AIGW_KEY_LINE_MAX] = '\0';
    ck_assert(reads_line(line));
    line[AIGW_KEY_LINE_MAX] = ' ';
    line[AIGW_KEY_LINE_MAX + 1] = '\0';
    ck_assert(!reads_line(line));
    ck_assert_str_eq(fault.message, "The line is longer than 16384 bytes.");
}
END_TEST

/* ------------------------------------------------------------------ writing */

START_TEST(written_and_read_again)
{
    aigw_key_t again;
    char *line;

    ck_assert(reads_line(full_line));
    line = aigw_key_line_write(pool, &key);
    ck_assert_str_eq(line, full_line);
    ck_assert_int_eq(aigw_key_line_read(&again, line, strlen(line), pool, &fault), APR_SUCCESS);
    ck_assert_str_eq(again.note, key.note);
    ck_assert_int_eq(again.expires, key.expires);
    ck_assert_int_eq(again.disabled, 1);

    ck_assert(reads_line("{\"user\":\"b\",\"tier\":null,\"disabled\":false,\"sha256\":\"" D3 "\",\"id\":\"a\"}"));
    ck_assert_str_eq(aigw_key_line_write(pool, &key), "{\"id\":\"a\",\"sha256\":\"" D3 "\",\"user\":\"b\"}");

    /* no rights are not all rights */
    ck_assert(reads_line("{\"id\":\"a\",\"sha256\":\"" D3 "\",\"user\":\"b\",\"scopes\":[],\"models\":[]}"));
    ck_assert_str_eq(aigw_key_line_write(pool, &key), "{\"id\":\"a\",\"sha256\":\"" D3 "\",\"user\":\"b\",\"scopes\":[],\"models\":[]}");

    ck_assert(reads_line("{\"id\":\"a\",\"sha256\":\"" D3 "\",\"user\":\"b\",\"expires\":\"1970-01-01T00:00:00.25Z\"}"));
    line = aigw_key_line_write(pool, &key);
    ck_assert_str_eq(line, "{\"id\":\"a\",\"sha256\":\"" D3 "\",\"user\":\"b\",\"expires\":\"1970-01-01T00:00:00Z\"}");
    ck_assert(reads_line(line));
    ck_assert_int_eq(key.expires, 1);
}
END_TEST

START_TEST(nothing_is_written_that_could_not_be_read)
{
    static const char *const bad[] = {"", "a\nb", "a\x1b[m", "\xff", "a\xc3", "\xc2\x9b"};
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    apr_size_t i;

    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert(reads_line(full_line));
        key.id = bad[i];
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
        ck_assert(reads_line(full_line));
        key.user = bad[i];
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
        ck_assert(reads_line(full_line));
        key.tier = bad[i];
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
        ck_assert(reads_line(full_line));
        key.created = bad[i];
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
        ck_assert(reads_line(full_line));
        key.note = bad[i];
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
        apr_array_clear(names);
        APR_ARRAY_PUSH(names, const char *) = "good";
        APR_ARRAY_PUSH(names, const char *) = bad[i];
        ck_assert(reads_line(full_line));
        key.scopes = names;
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
        ck_assert(reads_line(full_line));
        key.models = names;
        ck_assert_ptr_null(aigw_key_line_write(pool, &key));
    }
    ck_assert(reads_line(full_line));
    key.user = NULL;
    ck_assert_ptr_null(aigw_key_line_write(pool, &key));
    ck_assert(reads_line(full_line));
    key.id = "an_underscore";
    ck_assert_ptr_null(aigw_key_line_write(pool, &key));
    ck_assert(reads_line(full_line));
    key.expires = apr_time_from_sec(253402300800); /* the year 10000 */
    ck_assert_ptr_null(aigw_key_line_write(pool, &key));
    key.expires = apr_time_from_sec(-1);
    ck_assert_ptr_null(aigw_key_line_write(pool, &key));

    ck_assert(reads_line(full_line));
    apr_array_clear(names);
    for (i = 0; i < AIGW_KEY_LINE_MAX / 8; i++) {
        APR_ARRAY_PUSH(names, const char *) = "abcdefgh";
    }
    key.models = names;
    ck_assert_ptr_null(aigw_key_line_write(pool, &key));
}
END_TEST

Suite *suite_key_line(void)
{
    Suite *s = suite_create("key_line");
    TCase *c = tcase_create("key_line");

    tcase_add_checked_fixture(c, make_pool, drop_pool);
    tcase_add_test(c, every_member);
    tcase_add_test(c, what_is_not_said_is_not_there);
    tcase_add_test(c, an_empty_array_is_not_none);
    tcase_add_test(c, the_required_members);
    tcase_add_test(c, types);
    tcase_add_test(c, digests_are_64_hexadecimal_digits);
    tcase_add_test(c, ids_are_those_of_keys);
    tcase_add_test(c, names_are_1_to_256_bytes);
    tcase_add_test(c, names_have_no_control_characters);
    tcase_add_test(c, invalid_utf8_is_refused);
    tcase_add_test(c, expiry);
    tcase_add_test(c, unknown_members);
    tcase_add_test(c, duplicate_members);
    tcase_add_test(c, what_is_no_object);
    tcase_add_test(c, lines_have_a_length);
    tcase_add_test(c, written_and_read_again);
    tcase_add_test(c, nothing_is_written_that_could_not_be_read);
    suite_add_tcase(s, c);
    return s;
}
