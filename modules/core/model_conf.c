#include "model_conf.h"
#include "conf.h"
#include "secret.h"
#include "aigw_provider.h"

#include <ap_provider.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>
#include <math.h>

APLOG_USE_MODULE(aigw);

#define NAME_MAX_BYTES 256

/* The section that is being read: directives inside find their model here. Configuration is read by one thread. */
static aigw_model_t *open_model;

static const char *inside(cmd_parms *cmd)
{
    return open_model ? NULL : apr_pstrcat(cmd->pool, cmd->cmd->name, " stands inside <AIGWModel name> ... </AIGWModel> only", NULL);
}

/* A name that is safe in JSON, logs and URLs. */
static const char *name_fault(apr_pool_t *p, const char *directive, const char *name)
{
    const char *s;

    if (!*name || strlen(name) > NAME_MAX_BYTES) {
        return apr_psprintf(p, "%s: a model's name has 1 to %d characters", directive, NAME_MAX_BYTES);
    }
    for (s = name; *s; s++) {
        if (!apr_isalnum(*s) && !strchr("._:/@+-", *s)) {
            return apr_psprintf(p, "%s: a model's name is made of letters, digits and . _ : / @ + -, so not '%s'", directive, name);
        }
    }
    return NULL;
}

static int model_answers_to(const aigw_model_t *model, const char *name)
{
    int i;

    if (!strcmp(model->name, name)) {
        return 1;
    }
    for (i = 0; i < model->aliases->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(model->aliases, i, const char *), name)) {
            return 1;
        }
    }
    return 0;
}

static const aigw_model_t *find_in(const apr_array_header_t *models, const char *name)
{
    int i;

    for (i = 0; i < models->nelts; i++) {
        const aigw_model_t *model = APR_ARRAY_IDX(models, i, const aigw_model_t *);
        if (model_answers_to(model, name)) {
            return model;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ directives */

const char *aigw_model_conf_section(cmd_parms *cmd, void *dir, const char *args)
{
    aigw_server_conf_t *conf = aigw_conf_server(cmd->server);
    const char *end = ap_strrchr_c(args, '>'), *err = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT | NOT_IN_LIMIT), *name;
    aigw_model_t *model;

    if (err) {
        return err;
    }
    if (open_model) {
        return "<AIGWModel> does not stand inside another <AIGWModel>";
    }
    if (!end) {
        return "<AIGWModel name> lacks its closing '>'";
    }
    args = apr_pstrmemdup(cmd->temp_pool, args, end - args);
    name = ap_getword_conf(cmd->pool, &args);
    if (*args) {
        return "<AIGWModel> takes one name: use AIGWAlias for others";
    }
    if ((err = name_fault(cmd->pool, "<AIGWModel>", name)) != NULL) {
        return err;
    }
    if (find_in(conf->models, name)) {
        return apr_psprintf(cmd->pool, "<AIGWModel %s>: this name is taken already by another model of this server", name);
    }
    model = apr_pcalloc(cmd->pool, sizeof *model);
    model->name = name;
    model->aliases = apr_array_make(cmd->pool, 2, sizeof(const char *));
    model->price_input = model->price_output = NAN;
    model->owner = "mod_aigw";
    model->created = apr_time_now();
    open_model = model;
    err = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    open_model = NULL;
    if (err) {
        return err;
    }
    if (!model->upstream) {
        return apr_psprintf(cmd->pool, "<AIGWModel %s> has no AIGWUpstream: add for example 'AIGWUpstream echo' inside", name);
    }
    APR_ARRAY_PUSH(conf->models, aigw_model_t *) = model;
    return NULL;
}

static const char *upstream_url(cmd_parms *cmd, aigw_upstream_t *up, const char *arg)
{
    apr_uri_t uri;
    const char *http = arg;
    apr_size_t len;

    if (!ap_cstr_casecmpn(arg, "unix:", 5)) {
        http = ap_strchr_c(arg, '|');
        http = http ? http + 1 : "";
    }
    if (apr_uri_parse(cmd->pool, http, &uri) != APR_SUCCESS || !uri.scheme || !uri.hostname || !*uri.hostname ||
        (uri.port_str && atoi(uri.port_str) > 65535) || uri.query || uri.fragment || uri.user ||
        (ap_cstr_casecmp(uri.scheme, "http") && ap_cstr_casecmp(uri.scheme, "https") && ap_cstr_casecmp(uri.scheme, "balancer"))) {
        return apr_psprintf(cmd->pool,
                            "AIGWUpstream: %s is not the address of an upstream: write http://host:port/v1, https://host/v1, "
                            "unix:/path.sock|http://localhost/v1 or balancer://name/v1 (no user, query or fragment)",
                            strpbrk(arg, "@?#") ? "this (not repeated, it may hold a secret)" : arg);
    }
    up->url = apr_pstrdup(cmd->pool, arg);
    for (len = strlen(up->url); len && up->url[len - 1] == '/'; len--) {
        ((char *)up->url)[len - 1] = '\0';
    }
    return NULL;
}

static const char *upstream_gone(cmd_parms *cmd, aigw_upstream_t *up, const char *value)
{
    if (!strcmp(value, "cancel")) {
        up->gone = AIGW_GONE_CANCEL;
        return NULL;
    }
    if (!strncmp(value, "drain", 5) && (!value[5] || value[5] == ':')) {
        up->gone = AIGW_GONE_DRAIN;
        if (!value[5] || (aigw_conf_time(value + 6, "s", &up->drain_time) && up->drain_time > 0)) {
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "AIGWUpstream: disconnect=%s is none of cancel, drain, drain:30s", value);
}

static const char *upstream_header(cmd_parms *cmd, aigw_upstream_t *up, const char *name, const char *value)
{
    static const char *const ours[] = {"Host",   "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Accept-Encoding",
                                       "Accept", "Authorization",  "X-Request-ID", "traceparent",       NULL};
    const char *s;
    int i;

    for (s = name; apr_isalnum(*s) || *s == '-' || *s == '_'; s++) {
    }
    if (!*name || *s || *ap_scan_http_field_content(value)) {
        return apr_psprintf(cmd->pool, "AIGWUpstream: header.%s is not a header field: write header.OpenAI-Organization=org-...", name);
    }
    for (i = 0; ours[i]; i++) {
        if (!ap_cstr_casecmp(name, ours[i])) {
            return apr_psprintf(cmd->pool,
                                "AIGWUpstream: header.%s is set by the gateway itself: leave it out (a credential is key=env:NAME)", name);
        }
    }
    if (!up->headers) {
        up->headers = apr_table_make(cmd->pool, 2);
    }
    apr_table_set((apr_table_t *)up->headers, name, value);
    return NULL;
}

/* One key=value; what the core does not know is the provider's. */
static const char *upstream_setting(cmd_parms *cmd, aigw_upstream_t *up, const char *arg)
{
    const char *eq = ap_strchr_c(arg, '='), *key, *value;

    if (!eq || eq == arg) {
        return apr_psprintf(cmd->pool, "AIGWUpstream: '%s' is not of the form key=value", arg);
    }
    key = apr_pstrmemdup(cmd->pool, arg, eq - arg);
    value = eq + 1;
    if (!strcmp(key, "model")) {
        up->model = value;
        return *value ? NULL : "AIGWUpstream: model= needs the name that the upstream knows";
    }
    if (!strcmp(key, "key")) {
        up->key_source = value;
        return aigw_secret_source_fault(cmd->pool, "AIGWUpstream key", value);
    }
    if (!strcmp(key, "disconnect")) {
        return upstream_gone(cmd, up, value);
    }
    if (!strncmp(key, "header.", 7)) {
        return upstream_header(cmd, up, key + 7, value);
    }
    return up->provider->configure(up, cmd->pool, key, value);
}

const char *aigw_model_conf_upstream(cmd_parms *cmd, void *dir, const char *args)
{
    aigw_upstream_t *up = apr_pcalloc(cmd->pool, sizeof *up);
    const char *err = inside(cmd), *word;

    if (err) {
        return err;
    }
    if (open_model->upstream) {
        return "AIGWUpstream: this model has one already; several servers of one model are a balancer: AIGWUpstream openai "
               "balancer://name/v1";
    }
    up->provider_name = ap_getword_conf(cmd->pool, &args);
    up->defn_name = cmd->directive->filename;
    up->defn_line = (unsigned)cmd->directive->line_num;
    up->provider = ap_lookup_provider(AIGW_PROVIDER_GROUP, up->provider_name, AIGW_PROVIDER_VERSION);
    if (!up->provider) {
        return apr_psprintf(cmd->pool,
                            "AIGWUpstream: there is no provider '%s': known are echo, openai, and those of modules loaded before this line",
                            up->provider_name);
    }
    if (up->provider->needs_url && (err = upstream_url(cmd, up, ap_getword_conf(cmd->pool, &args))) != NULL) {
        return err;
    }
    while (*args) {
        word = ap_getword_conf(cmd->pool, &args);
        if (*word && (err = upstream_setting(cmd, up, word)) != NULL) {
            return err;
        }
    }
    open_model->upstream = up;
    return NULL;
}

const char *aigw_model_conf_alias(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = inside(cmd);

    if (!err && !(err = name_fault(cmd->pool, "AIGWAlias", arg)) &&
        (model_answers_to(open_model, arg) || find_in(aigw_conf_server(cmd->server)->models, arg))) {
        err = apr_psprintf(cmd->pool, "AIGWAlias %s: this name is taken already by a model of this server", arg);
    }
    if (!err) {
        APR_ARRAY_PUSH((apr_array_header_t *)open_model->aliases, const char *) = arg;
    }
    return err;
}

const char *aigw_model_conf_price(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = inside(cmd), *eq = ap_strchr_c(arg, '=');
    char *end = NULL;
    double price;

    if (err) {
        return err;
    }
    price = eq ? strtod(eq + 1, &end) : -1;
    if (eq && end != eq + 1 && !*end && isfinite(price) && price >= 0) {
        if (!strncmp(arg, "input=", 6)) {
            open_model->price_input = price;
            return NULL;
        }
        if (!strncmp(arg, "output=", 7)) {
            open_model->price_output = price;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "AIGWPrice: '%s' is neither input=N nor output=N (per million tokens, N >= 0)", arg);
}

static const char *set_count(cmd_parms *cmd, const char *arg, apr_int64_t *to)
{
    const char *err = inside(cmd);
    char *end = NULL;

    if (err) {
        return err;
    }
    *to = apr_strtoi64(arg, &end, 10);
    if (end == arg || *end || *to < 1 || *to > APR_INT32_MAX) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not a number of tokens", cmd->cmd->name, arg);
    }
    return NULL;
}

const char *aigw_model_conf_window(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_count(cmd, arg, open_model ? &open_model->context_window : NULL);
}

const char *aigw_model_conf_max_tokens(cmd_parms *cmd, void *dir, const char *arg)
{
    return set_count(cmd, arg, open_model ? &open_model->max_tokens : NULL);
}

const char *aigw_model_conf_estimate(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = inside(cmd), *eq = ap_strchr_c(arg, '=');
    char *end = NULL;
    double n;

    if (err) {
        return err;
    }
    n = eq ? strtod(eq + 1, &end) : 0;
    if (eq && end != eq + 1 && !*end) {
        if (!strncmp(arg, "bytes=", 6) && n >= 0.5 && n <= 100) {
            open_model->estimate_bytes = n;
            return NULL;
        }
        if (!strncmp(arg, "image=", 6) && n >= 1 && n <= 1000000) {
            open_model->estimate_image = (apr_int64_t)n;
            return NULL;
        }
    }
    return apr_psprintf(
        cmd->pool, "AIGWTokenEstimate: '%s' is neither bytes=N (of text that make a token, 0.5 to 100) nor image=N (tokens of an image)",
        arg);
}

const char *aigw_model_conf_owner(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err = inside(cmd);

    if (!err) {
        open_model->owner = arg;
    }
    return err;
}

/* ------------------------------------------------------------------ after the configuration is read */

apr_array_header_t *aigw_model_conf_merge(apr_pool_t *p, const apr_array_header_t *base, const apr_array_header_t *add)
{
    apr_array_header_t *all = apr_array_copy(p, add);
    int i;

    for (i = 0; i < base->nelts; i++) {
        aigw_model_t *model = APR_ARRAY_IDX(base, i, aigw_model_t *);
        if (!find_in(add, model->name)) {
            APR_ARRAY_PUSH(all, aigw_model_t *) = model;
        }
    }
    return all;
}

/* header.NAME=env:X, file:X or exec:X is a secret too (Azure's api-key). */
static apr_status_t resolve_headers(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s, aigw_model_t *model)
{
    const apr_array_header_t *fields = model->upstream->headers ? apr_table_elts(model->upstream->headers) : NULL;
    int i;

    for (i = 0; fields && i < fields->nelts; i++) {
        apr_table_entry_t *field = &APR_ARRAY_IDX(fields, i, apr_table_entry_t);
        const char *why = NULL, *secret;

        if (aigw_secret_source_fault(ptemp, "", field->val)) {
            continue; /* a plain value */
        }
        if (!(secret = aigw_secret_read(pconf, ptemp, field->val, &why))) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "AIGW0103: %s:%u: model %s: header.%s from %s cannot be had: %s",
                         model->upstream->defn_name, model->upstream->defn_line, model->name, field->key, field->val, why);
            return APR_EGENERAL;
        }
        field->val = (char *)secret;
    }
    return APR_SUCCESS;
}

static apr_status_t check_model(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s, aigw_model_t *model)
{
    aigw_upstream_t *up = model->upstream;
    const char *why = NULL;

    if (up->key_source && !up->key) {
        up->key = aigw_secret_read(pconf, ptemp, up->key_source, &why);
        if (!up->key) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "AIGW0101: %s:%u: model %s: the key from %s cannot be had: %s", up->defn_name,
                         up->defn_line, model->name, up->key_source, why);
            return APR_EGENERAL;
        }
    }
    return up->checked++ ? APR_SUCCESS : resolve_headers(pconf, ptemp, s, model);
}

apr_status_t aigw_model_conf_check(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *main_server)
{
    server_rec *s;
    int i;

    for (s = main_server; s; s = s->next) {
        aigw_server_conf_t *conf = aigw_conf_server(s);
        for (i = 0; i < conf->models->nelts; i++) {
            apr_status_t rv = check_model(pconf, ptemp, s, APR_ARRAY_IDX(conf->models, i, aigw_model_t *));
            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
        if (conf->default_model && !find_in(conf->models, conf->default_model)) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "AIGW0102: AIGWDefaultModel %s: there is no such model: add <AIGWModel %s> or name one there is",
                         conf->default_model, conf->default_model);
            return APR_EGENERAL;
        }
    }
    return APR_SUCCESS;
}

const aigw_model_t *aigw_model_find(server_rec *s, const char *name)
{
    const aigw_server_conf_t *conf = aigw_conf_server(s);

    if (!name) {
        name = conf->default_model;
    }
    return name ? find_in(conf->models, name) : NULL;
}

const apr_array_header_t *aigw_model_all(server_rec *s)
{
    return aigw_conf_server(s)->models;
}

int aigw_model_count(server_rec *main_server)
{
    server_rec *s;
    int n = 0;

    for (s = main_server; s; s = s->next) {
        n += aigw_conf_server(s)->models->nelts;
    }
    return n;
}
