/* /v1/models and /v1/models/{id}: the models that the caller may use, in OpenAI's shape. */
#include "answer.h"
#include "intake.h"
#include "location.h"
#include "stream.h"
#include "aigw_text.h"

#include <apr_strings.h>

static json_t *model_json(const aigw_model_t *model)
{
    const char *owner = model->owner ? model->owner : "gateway";

    return json_pack("{s:o,s:s,s:I,s:o}", "id", aigw_text_json(model->name, strlen(model->name)), "object", "model", "created",
                     (json_int_t)apr_time_sec(model->created), "owned_by", aigw_text_json(owner, strlen(owner)));
}

static json_t *list_json(const apr_array_header_t *models, const aigw_request_t *context)
{
    json_t *data = json_array();
    int i;

    for (i = 0; i < models->nelts; i++) {
        const aigw_model_t *model = APR_ARRAY_IDX(models, i, const aigw_model_t *);

        if (aigw_stream_core->model_allowed(context, model)) {
            json_array_append_new(data, model_json(model));
        }
    }
    return json_pack("{s:s,s:o}", "object", "list", "data", data);
}

/* An ID may have slashes in it. With AllowEncodedSlashes NoDecode, what clients send as %2F is still that here. */
static const char *decode_slashes(apr_pool_t *p, const char *s)
{
    char *copy = apr_pstrdup(p, s), *to = copy;

    for (; *s; to++) {
        if (s[0] == '%' && s[1] == '2' && (s[2] == 'F' || s[2] == 'f')) {
            *to = '/';
            s += 3;
        }
        else {
            *to = *s++;
        }
    }
    *to = '\0';
    return copy;
}

/* "" for the list. Where the location is not known, the ID begins behind the first segment that is called "models". */
static const char *asked_id(request_rec *r)
{
    static const char segment[] = "/models";
    const char *tail = aigw_location_tail(r), *at;

    if (!tail) {
        for (at = strstr(r->uri, segment); at && at[sizeof segment - 1] != '/' && at[sizeof segment - 1]; at = strstr(at + 1, segment)) {
        }
        tail = at ? at + sizeof segment - 1 : "";
    }
    return decode_slashes(r->pool, *tail == '/' ? tail + 1 : tail);
}

int aigw_dialect_models(request_rec *r)
{
    const aigw_request_t *context = aigw_stream_core->request(r);
    const char *id = asked_id(r);
    char *text;

    if (*id) {
        const aigw_model_t *model = aigw_stream_core->model_find(r->server, id);
        if (!model || !aigw_stream_core->model_allowed(context, model)) {
            return aigw_stream_core->error_send(r, aigw_intake_no_model(r->pool, id));
        }
        text = aigw_answer_dump(model_json(model));
    }
    else {
        text = aigw_answer_dump(list_json(aigw_stream_core->models(r->server), context));
    }
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-cache"); /* it depends on who asks */
    aigw_answer_send(r, text, text ? strlen(text) : 0);
    return OK;
}
