#include "hide.h"
#include "auth.h"
#include "aigw_credential.h"

#include <http_connection.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_config.h>
#include <apr_strings.h>

#include <string.h>

APLOG_USE_MODULE(aigw_auth);

/* Whoever turns tracing on wants to see the request, not the key. Three of httpd's parts write fields that clients have sent:
 *   mod_http, all headers of a request, between the post_read_request hooks and the quick handlers: there they are covered;
 *   the core, while it reads them, a field that is wrong (up to 80 bytes of it: the key of a client that has left a carriage return behind it): it is kept to
 *     what is worth a notice until they are read;
 *   mod_http2, every field of a connection, as it comes: it is kept to what is worth an info. */

static const char *const names[] = {"Authorization", "Proxy-Authorization", "X-API-Key", "api-key", "Sec-WebSocket-Protocol"};

#define NAMES (sizeof names / sizeof *names)

/* Of a request, in its pool. */
typedef struct hidden_t {
    const struct ap_logconf *hushed; /* r->log until the request is read; NULL: it was not needed, or is over */
    const char *values[NAMES];       /* what the client sent; NULL: nothing to cover */
} hidden_t;

static int core_index = APLOG_NO_MODULE, http_index = APLOG_NO_MODULE,
           http2_index = APLOG_NO_MODULE; /* whose LogLevel it is. Set before there are requests */

static int index_of(const char *name)
{
    const module *m = ap_find_linked_module(name);

    return m ? m->module_index : APLOG_NO_MODULE;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    core_index = index_of("core.c");
    http_index = index_of("mod_http.c");
    http2_index = index_of("mod_http2.c");
}

/* ------------------------------------------------------------------ less is said */

/* The same levels, but for a module that says more than this; NULL: it does not. */
static const struct ap_logconf *hush(apr_pool_t *p, const struct ap_logconf *log, int index, int level)
{
    struct ap_logconf *hushed;

    if (index == APLOG_NO_MODULE || ap_get_module_loglevel(log, index) <= level) {
        return NULL;
    }
    hushed = ap_new_log_config(p, log);
    ap_set_module_loglevel(p, hushed, index, level);
    return hushed;
}

static int pre_connection(conn_rec *c, void *socket)
{
    const struct ap_logconf *hushed = c->master ? NULL : hush(c->pool, ap_get_conn_logconf(c), http2_index, APLOG_INFO);

    if (hushed) {
        c->log = hushed;
        ap_set_module_config(c->conn_config, &aigw_auth_module, (void *)hushed);
    }
    return DECLINED;
}

static void pre_read_request(request_rec *r, conn_rec *c)
{
    const struct ap_logconf *hushed = hush(r->pool, ap_get_request_logconf(r), core_index, APLOG_NOTICE);
    hidden_t *hidden;

    if (hushed) {
        hidden = apr_pcalloc(r->pool, sizeof *hidden);
        hidden->hushed = r->log = hushed;
        ap_set_module_config(r->request_config, &aigw_auth_module, hidden);
    }
}

/* It is read, and known whose it is: from here on the levels are those of its virtual host, as without us. */
static int speak_up(request_rec *r)
{
    hidden_t *hidden = ap_get_module_config(r->request_config, &aigw_auth_module);
    const conn_rec *c = r->connection;

    if (hidden && hidden->hushed) {
        r->log = r->log == hidden->hushed ? NULL : r->log;
        hidden->hushed = NULL;
    }
    if (!r->log && c->log && c->log == ap_get_module_config(c->conn_config, &aigw_auth_module)) {
        r->log = &r->server->log;
    }
    return DECLINED;
}

/* In place of the core's words. */
static int log_transaction(request_rec *r)
{
    const hidden_t *hidden = ap_get_module_config(r->request_config, &aigw_auth_module);

    if (hidden && hidden->hushed && r->status >= HTTP_BAD_REQUEST && r->status != HTTP_REQUEST_TIME_OUT) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "AIGW0390: the request line or a header field is wrong: %d. Which one is not said, it may have a key in it",
                      r->status);
    }
    return DECLINED;
}

/* ------------------------------------------------------------------ what is said is covered */

/* Of a scheme and its credential the scheme may be seen; of subprotocols none need be. */
static const char *cover(apr_pool_t *p, const char *name, const char *value)
{
    apr_size_t scheme = strcspn(value, " ");

    if (strstr(name, "uthorization") && scheme < strlen(value) && scheme <= 16) {
        return apr_psprintf(p, "%.*s (not logged)", (int)scheme, value);
    }
    return "(not logged)";
}

static int post_read_request(request_rec *r)
{
    hidden_t *hidden = ap_get_module_config(r->request_config, &aigw_auth_module);
    apr_size_t i;

    if (!APLOG_R_MODULE_IS_LEVEL(r, http_index, APLOG_TRACE4)) {
        return DECLINED;
    }
    if (!hidden) {
        hidden = apr_pcalloc(r->pool, sizeof *hidden);
        ap_set_module_config(r->request_config, &aigw_auth_module, hidden);
    }
    for (i = 0; i < NAMES; i++) {
        hidden->values[i] = apr_table_get(r->headers_in, names[i]);
        if (hidden->values[i]) {
            apr_table_setn(r->headers_in, names[i], cover(r->pool, names[i], hidden->values[i]));
        }
    }
    return DECLINED;
}

static int uncover(request_rec *r, int lookup)
{
    const hidden_t *hidden = ap_get_module_config(r->request_config, &aigw_auth_module);
    apr_size_t i;

    for (i = 0; hidden && i < NAMES; i++) {
        if (hidden->values[i]) {
            apr_table_setn(r->headers_in, names[i], hidden->values[i]);
        }
    }
    return DECLINED;
}

void aigw_hide_register(apr_pool_t *p)
{
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_pre_read_request(pre_read_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(speak_up, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_quick_handler(uncover, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
