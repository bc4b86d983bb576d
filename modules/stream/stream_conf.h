/* Configuration of mod_aigw_stream. Lives in the configuration pool, constant once the configuration is read.
 */
#ifndef AIGW_STREAM_CONF_H
#define AIGW_STREAM_CONF_H

#include <httpd.h>
#include <http_config.h>

/* Per directory. */
typedef struct aigw_stream_conf_t {
    int generate_version;    /* AIGWGenerateVersion: 1 or 2; -1: not said */
    int deprecated;          /* AIGWDeprecation: 1, 0 = off, -1: not said; the three below go with it */
    const char *deprecation; /* field value "@1735689600" */
    const char *sunset;      /* field value, an HTTP-date */
    const char *link;        /* field value or NULL */
} aigw_stream_conf_t;

extern const command_rec aigw_stream_conf_commands[];

void *aigw_stream_conf_create(apr_pool_t *p, char *dir);
void *aigw_stream_conf_merge(apr_pool_t *p, void *base, void *add);

/* 1 or 2. */
int aigw_stream_conf_generate_version(request_rec *r);

/* header_parser hook: the first one that knows the location, and one that runs before anybody may refuse the request. Returns DECLINED. */
int aigw_stream_conf_deprecation(request_rec *r);

#endif
