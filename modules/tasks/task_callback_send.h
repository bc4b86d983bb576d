/* One try to deliver a callback: a signed POST by libcurl, to an address that may be called, and what came of it.
 *
 * Thread: the one that runs the multi handle.
 */
#ifndef AIGW_TASK_CALLBACK_SEND_H
#define AIGW_TASK_CALLBACK_SEND_H

#include "task_callback_conf.h"

#include <curl/curl.h>

typedef struct aigw_callback_send_t aigw_callback_send_t;

typedef enum {
    AIGW_CALLBACK_ARRIVED,
    AIGW_CALLBACK_UNWANTED, /* the receiver never wants it (410) */
    AIGW_CALLBACK_FAILED    /* it may be tried again */
} aigw_callback_end_e;

/* Adds the try to multi. id: webhook-id. body: malloc'ed, and its own from here on, also where it fails. NULL: no memory. conf lives longer than it does. p: for work. */
aigw_callback_send_t *aigw_callback_send_begin(CURLM *multi, apr_pool_t *p, const aigw_callback_conf_t *conf,
                                               const aigw_callback_url_t *url, const char *id, char *body, apr_size_t len, void *baton);

/* What begin() was given, of a handle that multi says has ended. */
void *aigw_callback_send_baton(CURL *easy);

/* Of one that multi says has ended. *why: in words, which go with it. *retry_after: what a receiver that is busy (429, 503) asks for, microseconds; 0: nothing. */
aigw_callback_end_e aigw_callback_send_result(aigw_callback_send_t *send, CURLcode code, const char **why,
                                              apr_interval_time_t *retry_after);

apr_size_t aigw_callback_send_size(const aigw_callback_send_t *send); /* bytes of the body */

/* Ends it, if it has not ended, and frees it. */
void aigw_callback_send_free(aigw_callback_send_t *send, CURLM *multi);

#endif
