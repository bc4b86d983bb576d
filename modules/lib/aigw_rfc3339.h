/* Dates as RFC 3339 writes them: "2026-11-21T15:04:05Z", "2026-11-21T15:04:05.25+01:00". Thread: any; no state. */
#ifndef AIGW_RFC3339_H
#define AIGW_RFC3339_H

#include <apr_pools.h>
#include <apr_time.h>

/* *t: microseconds since 1970. APR_SUCCESS, or APR_EINVAL: not such a date, or a day that there is not. Years 1970 to 9999, in UTC too;
 * a leap second is the next minute. *t is the caller's only on success. */
apr_status_t aigw_rfc3339_parse(const char *s, apr_time_t *t);

/* In p, in UTC and whole seconds: "2026-11-21T15:04:05Z". For what aigw_rfc3339_parse() gives. */
char *aigw_rfc3339_format(apr_pool_t *p, apr_time_t t);

#endif
