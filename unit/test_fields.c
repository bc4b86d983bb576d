/* aigw_fields */
#include "suites.h"
#include "aigw_fields.h"

#include <apr_strings.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_json_scan_t scan;
static aigw_value_t values[AIGW_ASK_FIELDS];
static aigw_fields_fault_t fault;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static apr_status_t read_text(const char *text, const aigw_field_t *fields, int n)
{
    ck_assert_msg(aigw_json_scan(&scan, pool, text, strlen(text)) == APR_SUCCESS, "%s: %s", text, scan.why);
    return aigw_fields_read(&scan, fields, n, pool, values, &fault);
}

static void accepted(const char *text)
{
    apr_status_t rv = read_text(text, aigw_question_generate, AIGW_QUESTION_GENERATE_METADATA);

    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", text, fault.message);
    ck_assert_ptr_null(fault.param);
}

static void refused(const char *text, const char *param, const char *message)
{
    apr_status_t rv = read_text(text, aigw_question_generate, AIGW_QUESTION_GENERATE_METADATA);

    ck_assert_msg(rv == APR_EINVAL, "%s was accepted", text);
    ck_assert_str_eq(fault.param, param);
    ck_assert_str_eq(fault.message, message);
}

#define WITH(member) "{\"prompt\":\"p\"," member "}"

START_TEST(what_is_absent_has_its_fallback)
{
    accepted("{\"prompt\":\"hi\"}");
    ck_assert_str_eq(values[AIGW_ASK_TEXT].text, "hi");
    ck_assert_int_eq(values[AIGW_ASK_TEXT].len, 2);
    MUST(values[AIGW_ASK_TEXT].present && !values[AIGW_ASK_MODEL].present && !values[AIGW_ASK_MODEL].text);
    MUST(!values[AIGW_ASK_MAX_TOKENS].present && values[AIGW_ASK_MAX_TOKENS].integer == 1024);
    MUST(!values[AIGW_ASK_TEMPERATURE].present && values[AIGW_ASK_TEMPERATURE].number == 0.7);
    MUST(!values[AIGW_ASK_METADATA].present && !values[AIGW_ASK_METADATA].object);
    accepted(WITH("\"model\":null,\"max_tokens\":null,\"temperature\":null,\"metadata\":null"));
    MUST(!values[AIGW_ASK_MODEL].present && values[AIGW_ASK_MAX_TOKENS].integer == 1024);
}
END_TEST

START_TEST(what_is_there_is_read)
{
    accepted("{\"metadata\":{\"a\":[1]},\"temperature\":2,\"max_tokens\":1e2,\"model\":\"m\\u00e4\",\"prompt\":\"a\\u0000b\"}");
    MUST(values[AIGW_ASK_TEXT].len == 3 && memcmp(values[AIGW_ASK_TEXT].text, "a\0b", 4) == 0);
    ck_assert_str_eq(values[AIGW_ASK_MODEL].text, "m\xc3\xa4");
    MUST(values[AIGW_ASK_MAX_TOKENS].integer == 100 && values[AIGW_ASK_TEMPERATURE].number == 2);
    ck_assert_int_eq(values[AIGW_ASK_METADATA].object->nmembers, 1);
    ck_assert_str_eq(values[AIGW_ASK_METADATA].object->members[0].name, "a");
}
END_TEST

START_TEST(texts_have_a_length_in_characters)
{
    char *s = apr_palloc(pool, 8100);

    memset(s, 'x', 8100);
    memcpy(s, "{\"prompt\":\"", 11);
    strcpy(s + 11 + 4000, "\"}");
    accepted(s);
    memcpy(s + 11 + 3998, "\xc3\xa4", 2);
    accepted(s);
    ck_assert_int_eq(values[AIGW_ASK_TEXT].len, 4000);
    strcpy(s + 11 + 4001, "\"}");
    s[11 + 4000] = 'x';
    accepted(s); /* 4001 bytes, 4000 characters */
    memcpy(s + 11 + 3998, "xx", 2);
    refused(s, "prompt", "prompt must be a string of 1 to 4000 characters; this one has 4001.");
    refused("{\"prompt\":\"\\u3000 \\t\"}", "prompt", "prompt must not be empty or white space only.");
    refused("{\"prompt\":1}", "prompt", "prompt must be a string of 1 to 4000 characters.");
    refused("{\"prompt\":null}", "prompt", "prompt must be a string of 1 to 4000 characters.");
    refused("{}", "prompt", "prompt is required: it must be a string of 1 to 4000 characters.");
    MUST(read_text("{\"message\":\"a\"}", aigw_question_chat, AIGW_QUESTION_CHAT) == APR_SUCCESS);
    MUST(read_text("{\"message\":{}}", aigw_question_chat, AIGW_QUESTION_CHAT) == APR_EINVAL);
    ck_assert_str_eq(fault.message, "message must be a string that is not empty.");
}
END_TEST

START_TEST(names_are_clean)
{
    refused(WITH("\"model\":\"a\\nb\""), "model", "model must not have control characters in it.");
    refused(WITH("\"model\":\"a\\u007f\""), "model", "model must not have control characters in it.");
    refused(WITH("\"model\":\"\""), "model", "model must be a string of 1 to 256 characters; this one has 0.");
    accepted(WITH("\"model\":\" \"")); /* no such model, but that is another mistake */
}
END_TEST

START_TEST(numbers_have_a_range)
{
    refused(WITH("\"max_tokens\":0"), "max_tokens", "max_tokens must be an integer from 1 to 4096.");
    refused(WITH("\"max_tokens\":4097"), "max_tokens", "max_tokens must be an integer from 1 to 4096.");
    refused(WITH("\"max_tokens\":1.5"), "max_tokens", "max_tokens must be an integer from 1 to 4096.");
    refused(WITH("\"max_tokens\":\"5\""), "max_tokens", "max_tokens must be an integer from 1 to 4096.");
    refused(WITH("\"temperature\":-0.1"), "temperature", "temperature must be a number from 0 to 2.");
    refused(WITH("\"temperature\":1e999"), "temperature", "temperature must be a number from 0 to 2.");
    accepted(WITH("\"temperature\":-0.0"));
}
END_TEST

START_TEST(objects_are_taken_as_they_are)
{
    refused(WITH("\"metadata\":[]"), "metadata", "metadata must be an object.");
    refused(WITH("\"metadata\":{\"a\":1,\"\\u0061\":2}"), "metadata", "metadata cannot be taken: a member stands twice in the object.");
}
END_TEST

START_TEST(what_is_not_known_is_refused)
{
    refused(WITH("\"max_token\":1"), "max_token",
            "The field 'max_token' is not known here; the fields are: prompt, model, max_tokens, temperature, metadata.");
    refused("{\"a\\u202e\\nb\":1}", "ab",
            "The field 'ab' is not known here; the fields are: prompt, model, max_tokens, temperature, metadata.");
    MUST(read_text(WITH("\"metadata\":{}"), aigw_question_generate, AIGW_QUESTION_GENERATE) == APR_EINVAL);
    ck_assert_str_eq(fault.param, "metadata");
}
END_TEST

Suite *suite_fields(void)
{
    Suite *s = suite_create("fields");
    TCase *c = tcase_create("fields");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, what_is_absent_has_its_fallback);
    tcase_add_test(c, what_is_there_is_read);
    tcase_add_test(c, texts_have_a_length_in_characters);
    tcase_add_test(c, names_are_clean);
    tcase_add_test(c, numbers_have_a_range);
    tcase_add_test(c, objects_are_taken_as_they_are);
    tcase_add_test(c, what_is_not_known_is_refused);
    suite_add_tcase(s, c);
    return s;
}
