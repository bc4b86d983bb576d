/* What mod_aigw_ratelimit tells other modules: by an optional function, which is not there where the module is not.
 */
#ifndef AIGW_LIMIT_OPTIONAL_H
#define AIGW_LIMIT_OPTIONAL_H

#include <httpd.h>
#include <apr_optional.h>
#include <jansson.h>

/* How the limits stand of whoever asks this, here and of his tier, without charging anything: {"requests":[{"limit":60,"window_seconds":60,"remaining":58,"reset_seconds":31}],
 * "concurrent":[{"limit":5,"remaining":4}], …}. A limit that counts each model by itself has "per":"model" instead of what remains. Empty where there are none, or they cannot be looked up now.
 * A new reference; NULL: out of memory. Thread: the owner of r, which may block for a moment. */
APR_DECLARE_OPTIONAL_FN(json_t *, aigw_limit_of, (request_rec * r));

#endif
