#include "intake.h"
#include "stream.h"
#include "aigw_media_type.h"
#include "aigw_text.h"

#include <http_protocol.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define SHOWN_NAME 100 /* characters of a client's own word in a message */

const aigw_error_t *aigw_intake_invalid(apr_pool_t *p, const char *param, const char *fmt, ...)
{
    va_list args;
    const char *message;

    va_start(args, fmt);
    message = apr_pvsprintf(p, fmt, args);
    va_end(args);
    return aigw_stream_core->error_make(p, HTTP_BAD_REQUEST, "validation_error", param, "%s", message);
}

static const aigw_error_t *check_type(request_rec *r)
{
    if (!aigw_media_type_is_json(apr_table_get(r->headers_in, "Content-Type"))) {
        return aigw_stream_core->error_make(r->pool, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", NULL,
                                            "The body must be JSON: send it with Content-Type: application/json.");
    }
    return NULL;
}

/* Asked after the body is read: an input filter that decodes (mod_deflate) takes the field out when it starts. */
static const aigw_error_t *check_encoding(request_rec *r)
{
    const char *field = apr_table_get(r->headers_in, "Content-Encoding");

    if (field && *field && strcasecmp(field, "identity")) {
        return aigw_stream_core->error_make(r->pool, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", NULL,
                                            "The body must come as it is, without a Content-Encoding.");
    }
    return NULL;
}

static const aigw_error_t *check_json(aigw_intake_t *in)
{
    aigw_json_scan_t *scan = &in->scan;

    if (aigw_json_scan(scan, in->pool, in->data, in->len) != APR_SUCCESS) {
        return aigw_stream_core->error_make(in->pool, HTTP_BAD_REQUEST, "invalid_json", NULL,
                                            "The body is not valid JSON: at line %d, column %d: %s.", scan->line, scan->column, scan->why);
    }
    if (scan->root.kind != AIGW_JSON_OBJECT) {
        return aigw_intake_invalid(in->pool, NULL, "The body must be a JSON object.");
    }
    return NULL;
}

const aigw_error_t *aigw_intake_read(aigw_intake_t *in, request_rec *r, apr_off_t limit)
{
    const aigw_error_t *error;

    memset(in, 0, sizeof *in);
    in->pool = r->pool;
    in->server = r->server;
    in->r = r;
    if ((error = check_type(r))) {
        return error;
    }
    if ((error = aigw_stream_core->body_read(r, limit, &in->data, &in->len))) {
        in->data = NULL;
        return error;
    }
    if (!(error = check_encoding(r))) {
        error = in->len ? check_json(in)
                        : aigw_stream_core->error_make(r->pool, HTTP_BAD_REQUEST, "invalid_json", NULL,
                                                       "The body is empty: send a JSON object.");
    }
    if (error) {
        aigw_intake_free(in);
    }
    return error;
}

const aigw_error_t *aigw_intake_take(aigw_intake_t *in, server_rec *s, apr_pool_t *p, const char *data, apr_size_t len)
{
    memset(in, 0, sizeof *in);
    in->pool = p;
    in->server = s;
    in->data = (char *)data; /* the scan only reads */
    in->len = len;
    return check_json(in);
}

void aigw_intake_free(aigw_intake_t *in)
{
    if (in->r && in->data) {
        aigw_stream_core->body_free(in->r, in->data);
        in->data = NULL;
    }
}

const aigw_error_t *aigw_intake_no_model(apr_pool_t *p, const char *name)
{
    return aigw_stream_core->error_make(p, HTTP_NOT_FOUND, "model_not_found", "model",
                                        "The model '%s' does not exist, or you may not use it.", aigw_text_shown(p, name, SHOWN_NAME));
}

const aigw_error_t *aigw_intake_model(server_rec *s, apr_pool_t *p, const char *name, const aigw_model_t **model)
{
    *model = aigw_stream_core->model_find(s, name);
    if (*model) {
        return NULL;
    }
    return name ? aigw_intake_no_model(p, name) : aigw_intake_invalid(p, "model", "model is required: this gateway has no default model.");
}
