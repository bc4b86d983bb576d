/* aigw_buffer and aigw_metadata, which writes into one */
#include "suites.h"
#include "aigw_metadata.h"

#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;
static aigw_buffer_t buffer;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    aigw_buffer_init(&buffer, pool);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

START_TEST(bytes_gather)
{
    apr_size_t i;

    MUST(aigw_buffer_add(&buffer, NULL, 0) == APR_SUCCESS && !buffer.data);
    for (i = 0; i < 5000; ++i) {
        MUST(aigw_buffer_add(&buffer, i % 2 ? "ab" : "c", i % 2 ? 2 : 1) == APR_SUCCESS);
    }
    MUST(buffer.len == 7500 && buffer.cap >= buffer.len && memcmp(buffer.data, "cabcab", 6) == 0 &&
         memcmp(buffer.data + 7494, "cabcab", 6) == 0);
    MUST(aigw_buffer_add_text(&buffer, "x") == APR_SUCCESS && buffer.len == 7501);
    MUST(aigw_buffer_add(&buffer, "x", APR_SIZE_MAX / 2) == APR_ENOMEM && buffer.len == 7501);
}
END_TEST

START_TEST(a_large_block_is_given_back)
{
    MUST(aigw_buffer_add(&buffer, "ab", 2) == APR_SUCCESS);
    aigw_buffer_clear(&buffer, 4096);
    MUST(buffer.data && buffer.len == 0);
    aigw_buffer_clear(&buffer, 16);
    MUST(!buffer.data && buffer.cap == 0);
}
END_TEST

START_TEST(the_block_is_handed_over)
{
    apr_size_t len = 7;
    char *data;

    MUST(aigw_buffer_take(&buffer, &len) == NULL && len == 0);
    MUST(aigw_buffer_add(&buffer, "ab", 2) == APR_SUCCESS);
    data = aigw_buffer_take(&buffer, &len);
    MUST(data && len == 2 && memcmp(data, "ab", 2) == 0 && !buffer.data);
    free(data);
}
END_TEST

static const char *joined(const char *metadata)
{
    aigw_json_scan_t scan;

    if (metadata) {
        MUST(aigw_json_scan(&scan, pool, metadata, strlen(metadata)) == APR_SUCCESS);
    }
    aigw_buffer_clear(&buffer, 0);
    MUST(aigw_metadata_join(&buffer, metadata ? &scan : NULL, "{\"model\":\"m\"}") == APR_SUCCESS);
    MUST(aigw_buffer_add(&buffer, "", 1) == APR_SUCCESS);
    return buffer.data;
}

START_TEST(metadata_comes_back_as_it_was_written)
{
    ck_assert_str_eq(joined(NULL), "{\"model\":\"m\"}");
    ck_assert_str_eq(joined("{ }"), "{\"model\":\"m\"}");
    ck_assert_str_eq(joined("{\"a\" : 1.0, \"\\u0062\":[1e30]}"), "{\"a\" : 1.0,\"\\u0062\":[1e30],\"model\":\"m\"}");
    ck_assert_str_eq(joined("{\"mod\\u0065l\":1,\"usage\":2,\"c\":{\"model\":3},\"finish_reason\":4,\"request_id\":5}"),
                     "{\"c\":{\"model\":3},\"model\":\"m\"}");
}
END_TEST

Suite *suite_buffer(void)
{
    Suite *s = suite_create("buffer");
    TCase *c = tcase_create("buffer");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, bytes_gather);
    tcase_add_test(c, a_large_block_is_given_back);
    tcase_add_test(c, the_block_is_handed_over);
    tcase_add_test(c, metadata_comes_back_as_it_was_written);
    suite_add_tcase(s, c);
    return s;
}
