#include "login_conf.h"
#include "auth.h"
#include "auth_conf.h"
#include "issuer.h"
#include "aigw_names.h"
#include "aigw_revoked.h"

#include <ap_provider.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_lib.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

#define LIFETIME     apr_time_from_sec(30 * 60)
#define LIFETIME_MAX apr_time_from_sec(30 * 86400)
#define FLOOR        apr_time_from_msec(500)
#define FLOOR_MAX    apr_time_from_sec(10)
#define WORKERS_MAX  512

static const aigw_attempt_limits_t usual = {
    .pair = {5, apr_time_from_sec(15 * 60)}, .address = {20, apr_time_from_sec(15 * 60)}, .user = {50, apr_time_from_sec(15 * 60)}};

void aigw_login_conf_merge(aigw_login_conf_t *conf, const aigw_login_conf_t *outer)
{
    conf->providers = conf->providers ? conf->providers : outer->providers;
    conf->issuer = conf->issuer ? conf->issuer : outer->issuer;
    conf->scopes = conf->scopes ? conf->scopes : outer->scopes;
    conf->tier = conf->tier ? conf->tier : outer->tier;
    conf->lifetime = conf->lifetime ? conf->lifetime : outer->lifetime;
    conf->floor = conf->floor ? conf->floor : outer->floor;
    conf->limits = conf->limits ? conf->limits : outer->limits;
}

static aigw_login_conf_t *of_dir(void *dir)
{
    return &((aigw_auth_dir_t *)dir)->login;
}

static authn_provider_list *add_provider(apr_pool_t *p, authn_provider_list *list, const char *name, const authn_provider *provider)
{
    authn_provider_list *one = apr_pcalloc(p, sizeof *one), *last = list;

    one->provider_name = name;
    one->provider = provider;
    if (!list) {
        return one;
    }
    while (last->next) {
        last = last->next;
    }
    last->next = one;
    return list;
}

const aigw_login_conf_t *aigw_login_conf_get(request_rec *r)
{
    const aigw_auth_dir_t *dir = ap_get_module_config(r->per_dir_config, &aigw_auth_module);
    aigw_login_conf_t *conf = apr_pmemdup(r->pool, &dir->login, sizeof *conf);
    const authn_provider *file;

    if (!conf->providers && (file = ap_lookup_provider(AUTHN_PROVIDER_GROUP, "file", AUTHN_PROVIDER_VERSION)) != NULL) {
        conf->providers = add_provider(r->pool, NULL, "file", file);
    }
    conf->lifetime = conf->lifetime ? conf->lifetime : LIFETIME;
    conf->floor = conf->floor ? conf->floor : FLOOR;
    if (!conf->limits) {
        conf->limits = apr_pmemdup(r->pool, &usual, sizeof usual);
    }
    return conf;
}

/* ------------------------------------------------------------------ the issuer, which may come later in the configuration */

#define NAMED "aigw-login-issuers" /* of pconf */

typedef struct named_t {
    const char *issuer;
    const server_rec *server;
    const ap_directive_t *directive;
} named_t;

const char *aigw_login_conf_issuer(cmd_parms *cmd, void *dir, const char *name)
{
    apr_array_header_t *all = NULL;
    named_t *named;
    void *data = NULL;

    apr_pool_userdata_get(&data, NAMED, cmd->pool);
    all = data;
    if (!all) {
        all = apr_array_make(cmd->pool, 4, sizeof(named_t));
        apr_pool_userdata_setn(all, NAMED, NULL, cmd->pool);
    }
    named = apr_array_push(all);
    named->issuer = of_dir(dir)->issuer = name;
    named->server = cmd->server;
    named->directive = cmd->directive;
    return NULL;
}

int aigw_login_conf_check(apr_pool_t *pconf)
{
    const apr_array_header_t *all;
    void *data = NULL;
    int i;

    apr_pool_userdata_get(&data, NAMED, pconf);
    all = data;
    for (i = 0; all && i < all->nelts; i++) {
        const named_t *named = &APR_ARRAY_IDX(all, i, named_t);
        const aigw_issuer_t *issuer = aigw_issuer_find(named->server, named->issuer);

        if (!issuer || !issuer->sign_key.algs) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, 0, named->server, "AIGW0368: AIGWLoginIssuer %s (%s:%d): %s", named->issuer,
                         named->directive->filename, named->directive->line_num,
                         issuer ? "this issuer cannot sign: give it an AIGWJwtSign" : "there is no <AIGWJwtIssuer> of this name");
            return -1;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------ the other directives */

static const char *module_of(const char *provider)
{
    static const struct {
        const char *provider, *module;
    } known[] = {{"file", "authn_file_module"},
                 {"dbd", "authn_dbd_module (and dbd_module)"},
                 {"ldap", "authnz_ldap_module (and ldap_module)"},
                 {"socache", "authn_socache_module"},
                 {"dbm", "authn_dbm_module"}};
    apr_size_t i;

    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strcmp(known[i].provider, provider)) {
            return known[i].module;
        }
    }
    return NULL;
}

const char *aigw_login_conf_provider(cmd_parms *cmd, void *dir, const char *name)
{
    const authn_provider *provider = ap_lookup_provider(AUTHN_PROVIDER_GROUP, name, AUTHN_PROVIDER_VERSION);
    const char *module = module_of(name);

    if (!provider) {
        return module ? apr_psprintf(cmd->pool, "AIGWLoginProvider: there is no provider '%s': load the module %s, before this line", name,
                                     module)
                      : apr_psprintf(
                            cmd->pool,
                            "AIGWLoginProvider: there is no provider '%s': it is one of httpd's, such as file, dbd, ldap, socache, or "
                            "an <AuthnProviderAlias> above this line",
                            name);
    }
    if (!provider->check_password) {
        return apr_psprintf(cmd->pool, "AIGWLoginProvider: the provider '%s' checks no passwords", name);
    }
    of_dir(dir)->providers = add_provider(cmd->pool, of_dir(dir)->providers, name, provider);
    return NULL;
}

const char *aigw_login_conf_scope(cmd_parms *cmd, void *dir, const char *name)
{
    aigw_login_conf_t *conf = of_dir(dir);

    if (!aigw_names_valid(name, strlen(name)) || strchr(name, ' ')) {
        return "AIGWLoginScope: names of scopes, such as chat, without blanks in them";
    }
    if (!conf->scopes) {
        conf->scopes = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(conf->scopes, const char *) = name;
    return NULL;
}

const char *aigw_login_conf_tier(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = NULL;

    of_dir(dir)->tier = ap_expr_parse_cmd(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &why, NULL);
    return why ? apr_psprintf(cmd->pool, "AIGWLoginTier: '%s' is no expression: %s. Write for example %%{reqenv:AUTHENTICATE_TIER}", arg,
                              why)
               : NULL;
}

static const char *parse_time(cmd_parms *cmd, const char *arg, apr_interval_time_t least, apr_interval_time_t most, const char *example,
                              apr_interval_time_t *t)
{
    if (!apr_isdigit(*arg) || ap_timeout_parameter_parse(arg, t, "s") != APR_SUCCESS || *t < least || *t > most) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not %s", cmd->cmd->name, arg, example);
    }
    return NULL;
}

const char *aigw_login_conf_lifetime(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *wrong =
        parse_time(cmd, arg, apr_time_from_sec(1), LIFETIME_MAX, "a time from 1s to 720h: write for example 30min", &of_dir(dir)->lifetime);

    of_dir(dir)->lifetime -= of_dir(dir)->lifetime % APR_USEC_PER_SEC; /* exp has no fractions */
    return wrong;
}

const char *aigw_login_conf_floor(cmd_parms *cmd, void *dir, const char *arg)
{
    return parse_time(cmd, arg, apr_time_from_msec(1), FLOOR_MAX, "a time from 1ms to 10s: write for example 500ms", &of_dir(dir)->floor);
}

/* user=50/15min, or off. What is not named is as usual. */
const char *aigw_login_conf_throttle(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_login_conf_t *conf = of_dir(dir);
    const char *equals = ap_strchr_c(arg, '='), *what = equals ? apr_pstrmemdup(cmd->temp_pool, arg, equals - arg) : arg;
    aigw_throttle_limit_t *limit;

    if (!conf->limits) {
        conf->limits = apr_pmemdup(cmd->pool, &usual, sizeof usual);
    }
    if (!ap_cstr_casecmp(arg, "off")) {
        memset(conf->limits, 0, sizeof *conf->limits);
        return NULL;
    }
    limit = !strcmp(what, "pair")      ? &conf->limits->pair
            : !strcmp(what, "address") ? &conf->limits->address
            : !strcmp(what, "user")    ? &conf->limits->user
                                       : NULL;
    if (limit && equals && !ap_cstr_casecmp(equals + 1, "off")) {
        limit->tries = 0;
        return NULL;
    }
    if (!limit || !equals || !aigw_throttle_limit_parse(equals + 1, limit)) {
        return apr_psprintf(
            cmd->pool,
            "AIGWLoginThrottle: '%s' is not of the form pair=5/15min, address=20/15min, user=50/15min, with 1 to %d failures in 1s to 24h; "
            "nor user=off, nor off",
            arg, AIGW_THROTTLE_TRIES);
    }
    return NULL;
}

/* Digits alone, between the two. */
static const char *parse_number(cmd_parms *cmd, const char *arg, int least, int most, int *n)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char *end;
    apr_int64_t value;

    if (wrong) {
        return wrong;
    }
    value = apr_strtoi64(arg, &end, 10);
    if (!apr_isdigit(*arg) || *end || value < least || value > most) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not a number from %d to %d", cmd->cmd->name, arg, least, most);
    }
    *n = (int)value;
    return NULL;
}

const char *aigw_login_conf_workers(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);

    return parse_number(cmd, arg, 1, WORKERS_MAX, &conf->login_workers);
}

const char *aigw_login_conf_revocations(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);

    return parse_number(cmd, arg, AIGW_REVOKED_MIN, AIGW_REVOKED_MAX, &conf->revocations);
}
