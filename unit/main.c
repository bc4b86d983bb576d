/* Runs every suite. libcheck's variables hold: CK_FORK, CK_VERBOSITY, CK_RUN_SUITE, CK_RUN_CASE, CK_DEFAULT_TIMEOUT, ... */
#include "suites.h"

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    SRunner *runner;
    int failed, run;

    if (apr_initialize() != APR_SUCCESS) {
        fprintf(stderr, "apr_initialize() failed\n");
        return EXIT_FAILURE;
    }
    atexit(apr_terminate);
    runner = srunner_create(suite_timers());
    srunner_add_suite(runner, suite_request_id());
    srunner_add_suite(runner, suite_traceparent());
    srunner_add_suite(runner, suite_sse());
    srunner_add_suite(runner, suite_http_response());
    srunner_add_suite(runner, suite_json_scan());
    srunner_add_suite(runner, suite_json_value());
    srunner_add_suite(runner, suite_splice());
    srunner_add_suite(runner, suite_chat());
    srunner_add_suite(runner, suite_echo());
    srunner_add_suite(runner, suite_buffer());
    srunner_add_suite(runner, suite_chat_edit());
    srunner_add_suite(runner, suite_completion());
    srunner_add_suite(runner, suite_credential());
    srunner_add_suite(runner, suite_claims_cache());
    srunner_add_suite(runner, suite_base64url());
    srunner_add_suite(runner, suite_jwks());
    srunner_add_suite(runner, suite_jws());
    srunner_add_suite(runner, suite_jwt());
    srunner_add_suite(runner, suite_breaker());
    srunner_add_suite(runner, suite_bucket());
    srunner_add_suite(runner, suite_window());
    srunner_add_suite(runner, suite_limit_table());
    srunner_add_suite(runner, suite_limit_ledger());
    srunner_add_suite(runner, suite_limit_stripe());
    srunner_add_suite(runner, suite_limit_shm());
    srunner_add_suite(runner, suite_owners());
    srunner_add_suite(runner, suite_names());
    srunner_add_suite(runner, suite_rate());
    srunner_add_suite(runner, suite_decimal());
    srunner_add_suite(runner, suite_chunks());
    srunner_add_suite(runner, suite_prefer());
    srunner_add_suite(runner, suite_task_mark());
    srunner_add_suite(runner, suite_estimate());
    srunner_add_suite(runner, suite_fields());
    srunner_add_suite(runner, suite_task_body());
    srunner_add_suite(runner, suite_text());
    srunner_add_suite(runner, suite_rfc3339());
    srunner_add_suite(runner, suite_api_key());
    srunner_add_suite(runner, suite_key_line());
    srunner_add_suite(runner, suite_key_file());
    srunner_add_suite(runner, suite_origin());
    srunner_add_suite(runner, suite_allow_headers());
    srunner_add_suite(runner, suite_login_body());
    srunner_add_suite(runner, suite_revoked());
    srunner_add_suite(runner, suite_shared());
    srunner_add_suite(runner, suite_size());
    srunner_add_suite(runner, suite_media_type());
    srunner_add_suite(runner, suite_spread());
    srunner_add_suite(runner, suite_throttle());
    srunner_add_suite(runner, suite_tier_file());
    srunner_add_suite(runner, suite_address());
    srunner_add_suite(runner, suite_backoff());
    srunner_add_suite(runner, suite_callback_url());
    srunner_add_suite(runner, suite_webhook());
    /* of bench/ */
    srunner_add_suite(runner, suite_heap());
    srunner_add_suite(runner, suite_hist());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    run = srunner_ntests_run(runner);
    srunner_free(runner);
    if (run == 0) { /* a selection that finds nothing has tested nothing */
        fprintf(stderr, "no test was run\n");
    }
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
