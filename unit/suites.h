/* The suites of the library, one a file of modules/lib. */
#ifndef UNIT_SUITES_H
#define UNIT_SUITES_H

#include <check.h>

/* ck_assert() for what is asserted again and again: that one writes to a file even when it holds. */
#define MUST(condition)                                                                                                                    \
    do {                                                                                                                                   \
        if (!(condition)) {                                                                                                                \
            ck_abort_msg("%s", #condition);                                                                                                \
        }                                                                                                                                  \
    } while (0)

Suite *suite_timers(void);
Suite *suite_request_id(void);
Suite *suite_traceparent(void);
Suite *suite_sse(void);
Suite *suite_http_response(void);
Suite *suite_json_scan(void);
Suite *suite_json_value(void);
Suite *suite_splice(void);
Suite *suite_chat(void);
Suite *suite_echo(void);
Suite *suite_breaker(void);
Suite *suite_bucket(void);
Suite *suite_buffer(void);
Suite *suite_chat_edit(void);
Suite *suite_completion(void);
Suite *suite_credential(void);
Suite *suite_decimal(void);
Suite *suite_chunks(void);
Suite *suite_prefer(void);
Suite *suite_task_mark(void);
Suite *suite_claims_cache(void);
Suite *suite_base64url(void);
Suite *suite_jwks(void);
Suite *suite_jws(void);
Suite *suite_jwt(void);
Suite *suite_limit_ledger(void);
Suite *suite_limit_shm(void);
Suite *suite_limit_stripe(void);
Suite *suite_limit_table(void);
Suite *suite_owners(void);
Suite *suite_names(void);
Suite *suite_rate(void);
Suite *suite_window(void);
Suite *suite_estimate(void);
Suite *suite_fields(void);
Suite *suite_task_body(void);
Suite *suite_text(void);
Suite *suite_rfc3339(void);
Suite *suite_api_key(void);
Suite *suite_key_line(void);
Suite *suite_key_file(void);
Suite *suite_origin(void);
Suite *suite_allow_headers(void);
Suite *suite_login_body(void);
Suite *suite_revoked(void);
Suite *suite_shared(void);
Suite *suite_size(void);
Suite *suite_media_type(void);
Suite *suite_spread(void);
Suite *suite_throttle(void);
Suite *suite_tier_file(void);
Suite *suite_address(void);
Suite *suite_backoff(void);
Suite *suite_callback_url(void);
Suite *suite_webhook(void);
/* of bench/ */
Suite *suite_heap(void);
Suite *suite_hist(void);

#endif
