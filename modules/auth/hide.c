#include "hide.h"
#include "auth.h"
#include "aigw_credential.h"

#include <http_log.h>
#include <http_protocol.h>
#include <http_config.h>
#include <apr_strings.h>

#include <string.h>

/* httpd writes the headers between the post_read_request hooks and the quick handlers: there they are covered. Whoever turns tracing on wants to see the request,
 * not the key. */

static const char *const names[] = {"Authorization", "Proxy-Authorization", "X-API-Key", "api-key", "Sec-WebSocket-Protocol"};

#define NAMES (sizeof names / sizeof *names)

typedef struct covered_t {
    const char *values[NAMES]; /* what the client sent; NULL: nothing to cover */
} covered_t;

/* Of a scheme and its credential the scheme may be seen; of subprotocols none need be. */
static const char *cover(apr_pool_t *p, const char *name, const char *value)
{
    apr_size_t scheme = strcspn(value, " ");

    if (strstr(name, "uthorization") && scheme < strlen(value) && scheme <= 16) {
        return apr_psprintf(p, "%.*s (not logged)", (int)scheme, value);
    }
    return "(not logged)";
}

static int http_index = APLOG_NO_MODULE; /* whose LogLevel it is. Set before there are requests */

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    const module *http = ap_find_linked_module("mod_http.c");

    if (http) {
        http_index = http->module_index;
    }
}

static int post_read_request(request_rec *r)
{
    covered_t *covered;
    apr_size_t i;

    if (!APLOG_R_MODULE_IS_LEVEL(r, http_index, APLOG_TRACE4)) {
        return DECLINED;
    }
    covered = apr_pcalloc(r->pool, sizeof *covered);
    for (i = 0; i < NAMES; i++) {
        covered->values[i] = apr_table_get(r->headers_in, names[i]);
        if (covered->values[i]) {
            apr_table_setn(r->headers_in, names[i], cover(r->pool, names[i], covered->values[i]));
        }
    }
    ap_set_module_config(r->request_config, &aigw_auth_module, covered);
    return DECLINED;
}

static int uncover(request_rec *r, int lookup)
{
    const covered_t *covered = ap_get_module_config(r->request_config, &aigw_auth_module);
    apr_size_t i;

    for (i = 0; covered && i < NAMES; i++) {
        if (covered->values[i]) {
            apr_table_setn(r->headers_in, names[i], covered->values[i]);
        }
    }
    return DECLINED;
}

void aigw_hide_register(apr_pool_t *p)
{
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_quick_handler(uncover, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
