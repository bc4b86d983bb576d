/* aigw_webhook */
#include "suites.h"
#include "aigw_webhook.h"

#include <string.h>

static apr_pool_t *pool;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

#define BODY "{\"test\": 2432232314}"

START_TEST(the_example_of_the_standard)
{
    aigw_webhook_key_t key[2];

    ck_assert_ptr_null(aigw_webhook_key_read(pool, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key));
    ck_assert_uint_eq(key->len, 24);
    ck_assert_str_eq(aigw_webhook_sign(pool, key, 1, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, strlen(BODY)),
                     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
END_TEST

START_TEST(two_keys_two_signatures)
{
    aigw_webhook_key_t key[2];
    const char *both, *second;

    ck_assert_ptr_null(aigw_webhook_key_read(pool, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key));
    ck_assert_ptr_null(aigw_webhook_key_read(pool, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", key + 1));
    ck_assert_uint_eq(key[1].len, 32);
    both = aigw_webhook_sign(pool, key, 2, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, strlen(BODY));
    second = aigw_webhook_sign(pool, key + 1, 1, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, strlen(BODY));
    ck_assert_int_eq(strncmp(both, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,", 51), 0);
    ck_assert_str_eq(strchr(both, ' ') + 1, second);
}
END_TEST

START_TEST(keys_are_read_strictly)
{
    static const char *const wrong[] = {"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
                                        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
                                        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
                                        /* 65 bytes */
                                        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="};
    aigw_webhook_key_t key;
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(aigw_webhook_key_read(pool, wrong[i], &key) != NULL, "%s", wrong[i]);
    }
    ck_assert_ptr_null(aigw_webhook_key_read(pool, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", &key)); /* without its padding */
    ck_assert_ptr_null(aigw_webhook_key_read(
        pool, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==", &key));
    ck_assert_uint_eq(key.len, 64);
}
END_TEST

Suite *suite_webhook(void)
{
    Suite *s = suite_create("webhook");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, the_example_of_the_standard);
    tcase_add_test(c, two_keys_two_signatures);
    tcase_add_test(c, keys_are_read_strictly);
    suite_add_tcase(s, c);
    return s;
}
