/* mod_aigw_ratelimit: what its files share. */
#ifndef AIGW_LIMIT_H
#define AIGW_LIMIT_H

#include <httpd.h>
#include <http_config.h>
#include <ap_expr.h>
#include "aigw.h"
#include "aigw_rate.h"

extern module AP_MODULE_DECLARE_DATA aigw_ratelimit_module;

/* The core's functions. Set before there are requests, never changes. */
extern const aigw_core_t *aigw_limit_core;

typedef enum {
    AIGW_LIMIT_REQUESTS,
    AIGW_LIMIT_TOKENS, /* of the question and of the answer */
    AIGW_LIMIT_INPUT_TOKENS,
    AIGW_LIMIT_OUTPUT_TOKENS,
    AIGW_LIMIT_CONCURRENT /* calls at the same time: slots */
} aigw_limit_what_e;

/* Whom a limit counts: bits. Several together count each combination. */
#define AIGW_LIMIT_BY_ADDRESS 0x01u
#define AIGW_LIMIT_BY_USER    0x02u /* who is not known counts by address */
#define AIGW_LIMIT_BY_KEY     0x04u /* the same */
#define AIGW_LIMIT_BY_HEADER  0x08u
#define AIGW_LIMIT_BY_MODEL   0x10u /* known in call_admit only: whatever counts by it is asked there */

typedef struct aigw_limit_section_t aigw_limit_section_t;

/* One rate of an AIGWLimit line, or its "concurrent N". Constant after the configuration is read. */
typedef struct aigw_limit_t {
    aigw_limit_what_e what;
    aigw_rate_t rate;                    /* of CONCURRENT only amount is set: 1..10^6, the rest is 0 */
    const aigw_limit_section_t *section; /* where it stands */
} aigw_limit_t;

/* How the limits of a section count: what it says itself, and filled in from around it where it does not. */
typedef struct aigw_limit_said_t {
    unsigned by;         /* AIGWLimitBy; 0: not said */
    const char *header;  /* of BY_HEADER */
    int dry_run;         /* AIGWLimitMode; -1: not said */
    int cached;          /* AIGWLimitCached, percent; -1: not said */
    apr_int64_t reserve; /* AIGWLimitReserve, tokens; 0: not said */
} aigw_limit_said_t;

/* A limit as it holds in a (merged) section. What an inner section says of its own limits is not for those around it. */
typedef struct aigw_limit_member_t {
    const aigw_limit_t *limit;
    aigw_limit_said_t said; /* of what is around the limit's own section, whose own words come first (aigw_limit_said) */
} aigw_limit_member_t;

/* What stands in a section; the module's per-directory configuration. */
struct aigw_limit_section_t {
    const char *name;           /* the section's path, or the tier's name; "" for the server */
    unsigned tier : 1;          /* it is a tier's */
    apr_array_header_t *limits; /* aigw_limit_member_t: its own, and after merging those around it before them. NULL: none */
    apr_array_header_t *exempt; /* ap_expr_info_t *, the same */
    aigw_limit_said_t said;     /* after merging: the innermost word */
};

/* How this limit counts. around: what holds where the limit's sections say nothing; NULL: nothing. */
aigw_limit_said_t aigw_limit_said(const aigw_limit_member_t *member, const aigw_limit_said_t *around);

/* 1 for the three of tokens. */
int aigw_limit_is_tokens(aigw_limit_what_e what);

/* How it is called in messages and logs, in p: "requests 60/minute", "concurrent 5". */
const char *aigw_limit_title(apr_pool_t *p, const aigw_limit_t *limit);

/* The name of what is limited, as clients and directives write it: "requests". */
const char *aigw_limit_what_name(aigw_limit_what_e what);

#endif
