/* mod_aigw_stream: the model endpoints. This file only wires: hooks, directives, the table of dialects. */
#include "asked.h"
#include "sse.h"
#include "stream.h"
#include "stream_conf.h"
#include "location.h"

#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

const aigw_core_t *aigw_stream_core;

static const aigw_dialect_t dialects[] = {
    {"aigw-chat-completions", "POST", 0, 0, aigw_dialect_chat_completions},
    {"aigw-models", "GET, HEAD", 1, 1, aigw_dialect_models},
    {"aigw-chat", "POST", 0, 0, aigw_dialect_chat},
    {"aigw-chat-stream", "POST", 0, 0, aigw_dialect_chat_stream},
    {"aigw-generate", "POST", 0, 0, aigw_dialect_generate},
    {"aigw-generate-stream", "POST", 0, 0, aigw_dialect_generate_stream},
};

static const aigw_dialect_t *dialect_of(const request_rec *r)
{
    apr_size_t i;

    for (i = 0; r->handler && i < sizeof dialects / sizeof dialects[0]; i++) {
        if (!strcmp(r->handler, dialects[i].handler)) {
            return &dialects[i];
        }
    }
    return NULL;
}

/* An endpoint is no file. Told that it is one, httpd's directory walk applies its sections (a Require in <Directory> keeps protecting what lies below it) without
 * asking the file system for each folder of the URL. Said here, for in map_to_storage the <Location> is out of sight. */
static int translate_name(request_rec *r)
{
    if (r->finfo.filetype == APR_NOFILE && aigw_location_is_endpoint(r)) {
        r->finfo.filetype = APR_REG;
    }
    return DECLINED;
}

/* <Location "/v1/chat"> holds /v1/chat/anything too. That is somebody's mistake, and a 404, unless AcceptPathInfo On says otherwise. */
static int is_beyond(request_rec *r, const aigw_dialect_t *dialect)
{
    const char *tail;

    if (dialect->subpaths || r->used_path_info == AP_REQ_ACCEPT_PATH_INFO) {
        return 0;
    }
    tail = aigw_location_tail(r);
    return tail && *tail && strcmp(tail, "/");
}

static int stream_handler(request_rec *r)
{
    const aigw_dialect_t *dialect = dialect_of(r);

    if (!dialect) {
        return DECLINED;
    }
    if (is_beyond(r, dialect)) {
        return aigw_stream_core->error_send(
            r, aigw_stream_core->error_make(r->pool, HTTP_NOT_FOUND, "not_found", NULL, "There is nothing at this address."));
    }
    if (r->method_number != (dialect->get ? M_GET : M_POST)) { /* HEAD is M_GET with header_only */
        apr_table_setn(r->err_headers_out, "Allow", dialect->allow);
        return aigw_stream_core->error_send(r, aigw_stream_core->error_make(r->pool, HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", NULL,
                                                                            "This address takes %s only.", dialect->allow));
    }
    return dialect->run(r);
}

/* In check_config, because `apachectl configtest` runs this and not post_config. */
static int find_core(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);

    aigw_stream_core = get ? get(AIGW_CORE_VERSION) : NULL;
    if (!aigw_stream_core) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0201: mod_aigw_stream needs mod_aigw %s: load mod_aigw before mod_aigw_stream%s",
                     AIGW_VERSION, get ? "; the one that is loaded is too old" : " (LoadModule aigw_module path/to/mod_aigw.so)");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_check_config(find_core, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(translate_name, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_header_parser(aigw_stream_conf_deprecation, NULL, NULL, APR_HOOK_REALLY_FIRST);
    aigw_job_register();
    aigw_sse_sink_register();
    ap_hook_handler(stream_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(aigw_stream) = {STANDARD20_MODULE_STUFF,   aigw_stream_conf_create, aigw_stream_conf_merge, NULL, NULL,
                                  aigw_stream_conf_commands, register_hooks,          AP_MODULE_FLAG_NONE};
