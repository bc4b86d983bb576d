#include "me.h"
#include "auth.h"
#include "endpoint.h"
#include "refuse.h"
#include "aigw_limit.h"
#include "aigw_rfc3339.h"
#include "aigw_text.h"

#include <http_protocol.h>

/* A Basic user's name may be anything. */
static json_t *text(const char *s)
{
    return s ? aigw_text_json(s, strlen(s)) : json_null();
}

static json_t *list(const apr_array_header_t *names)
{
    json_t *array = json_array();
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        json_array_append_new(array, text(APR_ARRAY_IDX(names, i, const char *)));
    }
    return array;
}

/* Those that /v1/models shows. */
static json_t *models(request_rec *r, const aigw_request_t *context)
{
    const apr_array_header_t *all = aigw_auth_core->models(r->server);
    json_t *array = json_array();
    int i;

    for (i = 0; i < all->nelts; i++) {
        const aigw_model_t *model = APR_ARRAY_IDX(all, i, const aigw_model_t *);

        if (aigw_auth_core->model_allowed(context, model)) {
            json_array_append_new(array, text(model->name));
        }
    }
    return array;
}

static APR_OPTIONAL_FN_TYPE(aigw_limit_of) * limit_of; /* mod_aigw_ratelimit's, or NULL */

static json_t *limits(request_rec *r)
{
    json_t *found = limit_of ? limit_of(r) : NULL;

    return found ? found : json_object();
}

static int me_handler(request_rec *r)
{
    const aigw_request_t *context;
    const aigw_identity_t *who;
    json_t *me;
    int rc;

    if (!aigw_endpoint_is(r, "aigw-me")) {
        return DECLINED;
    }
    if (aigw_endpoint_refused(r, 1, &rc)) {
        return rc;
    }
    context = aigw_auth_core->request(r);
    who = &context->identity;
    if (!who->user) {
        aigw_refuse_anonymous(r);
        return aigw_auth_core->error_send(r, context->error);
    }
    me = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "user_id", text(who->user), "tier", text(who->tier), "method", text(who->method), "scopes",
                   list(who->scopes), "models", models(r, context), "limits", limits(r));
    if (me && who->expires) {
        json_object_set_new(me, "expires_at", json_string(aigw_rfc3339_format(r->pool, who->expires)));
    }
    return aigw_endpoint_answer(r, aigw_endpoint_text(r, me));
}

static void find_limits(void)
{
    limit_of = APR_RETRIEVE_OPTIONAL_FN(aigw_limit_of);
}

void aigw_me_register(apr_pool_t *p)
{
    ap_hook_optional_fn_retrieve(find_limits, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(me_handler, NULL, NULL, APR_HOOK_MIDDLE);
}
