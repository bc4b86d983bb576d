/* Settings of the built-in model: of the AIGWUpstream line, and of a request where AIGWEchoRequestSettings is on. */
#ifndef AIGW_ECHO_CONF_H
#define AIGW_ECHO_CONF_H

#include "aigw_call.h"

typedef struct aigw_echo_conf_t {
    apr_int64_t words;         /* of an answer; 0: as many as the prompt */
    apr_interval_time_t delay; /* between words, microseconds */
    apr_interval_time_t ttft;  /* before the first, microseconds */
    int fail;                  /* HTTP status to fail with at once; 0: none */
    apr_int64_t stall;         /* say nothing more after so many words; -1: never */
    apr_int64_t reset;         /* break off after so many words; -1: never */
} aigw_echo_conf_t;

/* One key=value of AIGWUpstream echo. NULL or what is wrong. */
const char *aigw_echo_configure(aigw_upstream_t *up, apr_pool_t *p, const char *key, const char *value);

/* What holds for a call. NULL, or why its own settings cannot be taken. */
const aigw_error_t *aigw_echo_conf_of(aigw_call_t *call, aigw_echo_conf_t *conf);

#endif
