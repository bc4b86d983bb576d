/* What the files of this module share: the core's table and the list of dialects.
 */
#ifndef AIGW_STREAM_H
#define AIGW_STREAM_H

#include "aigw.h"

extern module AP_MODULE_DECLARE_DATA aigw_stream_module;

/* The core's functions. Set before the first request, while the configuration is checked; never NULL in a handler. */
extern const aigw_core_t *aigw_stream_core;

#define AIGW_LIMIT_CHAT_BODY ((apr_off_t)32 * 1024 * 1024) /* images in base64 */
#define AIGW_LIMIT_BODY      ((apr_off_t)1024 * 1024)

/* One endpoint: a handler name (SetHandler) and what speaks its JSON. */
typedef struct aigw_dialect_t {
    const char *handler;
    const char *allow;          /* the Allow field, and what the methods below are */
    int get;                    /* 1: GET and HEAD; 0: POST */
    int subpaths;               /* 1: what follows the location's path means something */
    int (*run)(request_rec *r); /* returns what a handler returns; the method is right already */
} aigw_dialect_t;

int aigw_dialect_chat_completions(request_rec *r);
int aigw_dialect_models(request_rec *r);
int aigw_dialect_chat(request_rec *r);
int aigw_dialect_chat_stream(request_rec *r);
int aigw_dialect_generate(request_rec *r);
int aigw_dialect_generate_stream(request_rec *r);

#endif
