/* The model catalogue: what <AIGWModel> says. Made while the configuration is read, constant and shared by all threads after it;
 * everything lives in the configuration pool.
 */
#ifndef AIGW_MODEL_H
#define AIGW_MODEL_H

#include <httpd.h>
#include <apr_tables.h>

struct aigw_provider_t;

/* What becomes of the upstream when the client goes away (WIRE.md section 3). */
typedef enum {
    AIGW_GONE_CANCEL, /* close the upstream connection at once */
    AIGW_GONE_DRAIN   /* read on to the end, or for at most drain_time */
} aigw_gone_e;

/* One AIGWUpstream line. */
typedef struct aigw_upstream_t {
    const struct aigw_provider_t *provider;
    const char *provider_name;  /* "openai" */
    const char *url;            /* without a trailing slash: "http://127.0.0.1:9000/v1"; NULL for a provider without network */
    const char *model;          /* the upstream's name of the model; NULL: the name of the <AIGWModel> */
    const char *key;            /* the credential itself, never logged; NULL: none. Resolved in post_config */
    const char *key_source;     /* "env:OPENAI_API_KEY": may be logged */
    const apr_table_t *headers; /* extra request headers (header.NAME=value) or NULL */
    aigw_gone_e gone;
    apr_interval_time_t drain_time; /* microseconds, 0 = no limit */
    void *provider_conf;            /* the provider's own, made by its configure() */
    void *transport;                /* the core's: proxy worker or balancer; opaque */
    const char *defn_name;          /* file and line of the directive, for messages */
    unsigned defn_line;
    int checked; /* the core's: secrets are resolved */
    /* the core's, the only thing here that changes, in each child for itself, atomically: a moving average of the time until an answer that is no stream
     * began, microseconds; 0: none yet */
    volatile apr_uint32_t answer_time;
    /* the same for mod_aigw_ratelimit: how many tokens this upstream counts for one that was estimated (aigw_estimate.h); 0: not known yet */
    volatile apr_uint32_t token_ratio;
} aigw_upstream_t;

typedef struct aigw_model_t {
    const char *name;                  /* what clients ask for */
    const apr_array_header_t *aliases; /* const char * */
    aigw_upstream_t *upstream;         /* never NULL after the configuration is read */
    double price_input, price_output;  /* currency units per million tokens; NaN: not set */
    apr_int64_t context_window;        /* tokens, 0: not said */
    apr_int64_t
        max_tokens; /* what an answer may have where neither the request nor the endpoint says, 0: not said. A client's own OpenAI body goes on as it came */
    double estimate_bytes;      /* AIGWTokenEstimate: bytes of text that make a token; 0: not said, it is learned */
    apr_int64_t estimate_image; /* tokens of an image, a sound, a file; 0: not said */
    const char *owner;          /* owned_by of /v1/models */
    apr_time_t created;         /* of /v1/models: the time of this configuration, microseconds */
} aigw_model_t;

#endif
