/* Who asked, for as long as the task lives. */
#include "tasks.h"
#include "aigw_address.h"

#include <apr_strings.h>

aigw_request_t *aigw_task_who(request_rec *r)
{
    aigw_request_t *context = aigw_tasks_core->request(r);

    /* whom httpd knows (AuthType Basic, a client certificate) is somebody without mod_aigw_auth, too: else all such users behind one address were one owner */
    if (!context->identity.user && r->user && *r->user) {
        context->identity.user = apr_pstrdup(r->pool, r->user);
        context->identity.method = r->ap_auth_type ? r->ap_auth_type : "httpd";
    }
    return context;
}

const char *aigw_task_owner(apr_pool_t *p, const aigw_request_t *context)
{
    return context->identity.user ? apr_pstrcat(p, "user:", context->identity.user, NULL)
                                  : apr_pstrcat(p, "address:", aigw_address_client(p, context->address), NULL);
}

static json_t *names_json(const apr_array_header_t *names)
{
    json_t *all = names ? json_array() : json_null();
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        json_array_append_new(all, json_string(APR_ARRAY_IDX(names, i, const char *)));
    }
    return all;
}

static const apr_array_header_t *names_of(apr_pool_t *p, const json_t *all)
{
    apr_array_header_t *names;
    const json_t *name;
    size_t i;

    if (!json_is_array(all)) {
        return NULL;
    }
    names = apr_array_make(p, (int)json_array_size(all) + 1, sizeof(const char *));
    json_array_foreach(all, i, name)
    {
        APR_ARRAY_PUSH(names, const char *) = apr_pstrdup(p, json_is_string(name) ? json_string_value(name) : "");
    }
    return names;
}

const char *aigw_task_identity_write(apr_pool_t *p, const aigw_request_t *context, const char *section)
{
    const aigw_identity_t *who = &context->identity;
    json_t *json = json_pack("{s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:b,s:I,s:o,s:o}", "id", context->id, "traceparent",
                             context->traceparent, "trace_id", context->trace_id, "address", context->address, "section", section, "user",
                             who->user, "tier", who->tier, "method", who->method, "key_id", who->key_id, "issuer", who->issuer,
                             "tier_listed", (int)who->tier_listed, "expires", (json_int_t)who->expires, "scopes", names_json(who->scopes),
                             "models", names_json(who->models));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    const char *copy = text ? apr_pstrdup(p, text) : NULL;

    free(text);
    json_decref(json);
    return copy;
}

static const char *text_of(apr_pool_t *p, const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? apr_pstrdup(p, text) : NULL;
}

aigw_request_t *aigw_task_identity_read(apr_pool_t *p, const char *json)
{
    json_t *from = json_loads(json, 0, NULL);
    aigw_request_t *context = apr_pcalloc(p, sizeof *context);

    if (!json_is_object(from)) {
        json_decref(from);
        return NULL;
    }
    context->id = text_of(p, from, "id");
    context->traceparent = text_of(p, from, "traceparent");
    context->trace_id = text_of(p, from, "trace_id");
    context->address = text_of(p, from, "address");
    context->identity.user = text_of(p, from, "user");
    context->identity.tier = text_of(p, from, "tier");
    context->identity.method = text_of(p, from, "method");
    context->identity.key_id = text_of(p, from, "key_id");
    context->identity.expires = json_integer_value(json_object_get(from, "expires"));
    context->identity.scopes = names_of(p, json_object_get(from, "scopes"));
    context->identity.models = names_of(p, json_object_get(from, "models"));
    context->identity.issuer = text_of(p, from, "issuer");
    context->identity.tier_listed = json_is_true(json_object_get(from, "tier_listed"));
    context->section = text_of(p, from, "section");
    context->began = aigw_clock_now();
    context->auth_time = context->limit_time = context->upstream_time = -1;
    context->prompt_tokens = context->completion_tokens = -1;
    json_decref(from);
    return context;
}

const char *aigw_task_server_name(apr_pool_t *p, const server_rec *s)
{
    return apr_psprintf(p, "%s:%u", s->server_hostname ? s->server_hostname : "", s->port ? s->port : s->addrs ? s->addrs->host_port : 0);
}

server_rec *aigw_task_server_find(apr_pool_t *p, server_rec *main_server, const char *name)
{
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        if (!strcmp(aigw_task_server_name(p, s), name)) {
            return s;
        }
    }
    return NULL;
}
