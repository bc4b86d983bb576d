/* Configuration of the core: what directives say, merged as httpd's own are.
 * Lives in the configuration pool, constant once the configuration is read, shared by all threads.
 */
#ifndef AIGW_CORE_CONF_H
#define AIGW_CORE_CONF_H

#include <httpd.h>
#include <http_config.h>
#include "aigw_model.h"

extern module AP_MODULE_DECLARE_DATA aigw_module;

#define AIGW_UNSET (-1)

/* Per directory, so that a location may differ. Members are AIGW_UNSET until said; aigw_conf_dir() gives one without unset members. */
typedef struct aigw_dir_conf_t {
    int errors;                             /* AIGWErrors: httpd's errors in our shape */
    int park;                               /* AIGWPark: streams may leave their worker thread */
    apr_interval_time_t park_after;         /* AIGWParkAfter: a prompt answer is waited for; 0: never */
    int echo_request_settings;              /* AIGWEchoRequestSettings: a test configuration */
    apr_interval_time_t first_byte_timeout; /* AIGWFirstByteTimeout, microseconds */
    apr_interval_time_t idle_timeout;       /* AIGWIdleTimeout, microseconds */
    apr_interval_time_t total_timeout;      /* AIGWTotalTimeout, microseconds */
    apr_interval_time_t keepalive_interval; /* AIGWKeepAliveInterval, microseconds; 0: never */
    apr_interval_time_t stream_max_time;    /* AIGWStreamMaxTime, microseconds; 0: no cap */
    apr_off_t stream_max_bytes;             /* AIGWStreamMaxBytes; 0: no cap */
    apr_off_t max_event_size;               /* AIGWMaxEventSize, bytes */
    apr_off_t max_answer_size;              /* AIGWMaxAnswerSize, bytes */
} aigw_dir_conf_t;

/* Per server. */
typedef struct aigw_server_conf_t {
    apr_array_header_t *models;          /* aigw_model_t *, own ones first said; after the merge all that hold */
    const char *default_model;           /* AIGWDefaultModel or NULL */
    apr_array_header_t *tiers;           /* <AIGWTier>; of tier.c. NULL: none */
    const char *default_tier;            /* AIGWDefaultTier or NULL */
    int allow_unverified;                /* AIGWAllowUnverifiedUpstream */
    apr_interval_time_t connect_timeout; /* AIGWConnectTimeout, microseconds */
    int reactors;                        /* AIGWReactors; 0: auto. Of the main server only */
    int defer_queue;                     /* AIGWDeferQueue. Of the main server only */
    struct aigw_redis_t *redis;          /* AIGWRedis and its kin, of redis_conf.c. Of the main server only; NULL: none of them */
} aigw_server_conf_t;

extern const command_rec aigw_conf_commands[];

void *aigw_conf_dir_create(apr_pool_t *p, char *dir);
void *aigw_conf_dir_merge(apr_pool_t *p, void *base, void *add);
void *aigw_conf_server_create(apr_pool_t *p, server_rec *s);
void *aigw_conf_server_merge(apr_pool_t *p, void *base, void *add);

aigw_server_conf_t *aigw_conf_server(const server_rec *s);

/* What holds for a location, defaults filled in; a new one in p. */
aigw_dir_conf_t *aigw_conf_dir(apr_pool_t *p, const ap_conf_vector_t *per_dir);

/* The same for a call: what its user's tier says holds before what the location says. tier may be NULL. */
aigw_dir_conf_t *aigw_conf_call(apr_pool_t *p, const ap_conf_vector_t *per_dir, const ap_conf_vector_t *tier);

/* A time such as 500ms, 15s, 2min; without a unit it is in `unit`. 1, or 0 if it is none (httpd's own parser takes a word for zero). */
int aigw_conf_time(const char *arg, const char *unit, apr_interval_time_t *t);

/* AIGWErrors of a location. */
int aigw_conf_errors(const ap_conf_vector_t *per_dir);

/* Effective values of the main server: how many reactor threads, how long the queue. */
int aigw_conf_reactors(const server_rec *main_server);
int aigw_conf_defer_queue(const server_rec *main_server);
apr_interval_time_t aigw_conf_connect_timeout(const server_rec *s);

#endif
