#include "tasks.h"
#include "task_callback_conf.h"
#include "aigw_address.h"

#include <http_log.h>
#include <apr_strings.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

APLOG_USE_MODULE(aigw_tasks);

#define TIMEOUT     apr_time_from_sec(15)
#define TIMEOUT_MIN apr_time_from_msec(100)
#define TIMEOUT_MAX apr_time_from_sec(60)
#define FIRST       apr_time_from_sec(5)
#define FIRST_MIN   apr_time_from_msec(100)
#define PAUSE       apr_time_from_sec(3600)
#define PAUSE_MAX   apr_time_from_sec(24 * 3600)
#define TOTAL       apr_time_from_sec(24 * 3600)
#define TOTAL_MAX   apr_time_from_sec(30 * 24 * 3600)

aigw_callback_conf_t *aigw_callback_conf_make(apr_pool_t *p)
{
    aigw_callback_conf_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->networks = apr_array_make(p, 1, sizeof(apr_ipsubnet_t *));
    conf->secrets = apr_array_make(p, 1, sizeof(aigw_callback_secret_t *));
    conf->timeout = TIMEOUT;
    conf->retry.first = FIRST;
    conf->retry.max = PAUSE;
    conf->retry.total = TOTAL;
    return conf;
}

/* *conf is the one to be changed; NULL, or why the directive may not stand here. */
static const char *of(cmd_parms *cmd, aigw_callback_conf_t **conf)
{
    const aigw_tasks_conf_t *tasks = ap_get_module_config(cmd->server->module_config, &aigw_tasks_module);

    *conf = tasks->callback;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static int read_time(const char *arg, apr_interval_time_t min, apr_interval_time_t max, apr_interval_time_t *to)
{
    return *arg >= '0' && *arg <= '9' && ap_timeout_parameter_parse(arg, to, "s") == APR_SUCCESS && *to >= min && *to <= max;
}

const char *aigw_callback_set_allow(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);

    if (err) {
        return err;
    }
    err = aigw_callback_list_add(cmd->pool, &conf->allow, arg);
    return err ? apr_pstrcat(cmd->pool, "AIGWCallbackAllow: ", err, NULL) : NULL;
}

/* Where its sources go: of all receivers, or of those that for= names. NULL: *err says why not. */
static aigw_callback_secret_t *secret_of(cmd_parms *cmd, aigw_callback_conf_t *conf, int argc, char *const argv[], const char **err)
{
    aigw_callback_secret_t *secret = &conf->all;
    int i;

    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], "for=", 4)) {
            continue;
        }
        if (secret == &conf->all) {
            APR_ARRAY_PUSH(conf->secrets, aigw_callback_secret_t *) = secret = apr_pcalloc(cmd->pool, sizeof *secret);
        }
        if ((*err = aigw_callback_list_add(cmd->pool, &secret->receivers, argv[i] + 4)) != NULL) {
            *err = apr_pstrcat(cmd->pool, "AIGWCallbackSecret: for: ", *err, NULL);
            return NULL;
        }
    }
    secret->nkeys = 0;
    return secret;
}

const char *aigw_callback_set_secret(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);
    APR_OPTIONAL_FN_TYPE(aigw_core) *get = APR_RETRIEVE_OPTIONAL_FN(aigw_core);
    const aigw_core_t *core = get ? get(AIGW_CORE_VERSION) : NULL;
    aigw_callback_secret_t *secret;
    int i;

    if (err || !(secret = secret_of(cmd, conf, argc, argv, &err))) {
        return err;
    }
    if (!core) {
        return "AIGWCallbackSecret: load mod_aigw before mod_aigw_tasks";
    }
    for (i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "for=", 4)) {
            continue;
        }
        if (secret->nkeys < AIGW_CALLBACK_KEYS && (err = core->secret_fault(cmd->pool, "AIGWCallbackSecret", argv[i])) != NULL) {
            return err;
        }
        if (secret->nkeys++ < AIGW_CALLBACK_KEYS) {
            secret->sources[secret->nkeys - 1] = apr_pstrdup(cmd->pool, argv[i]);
        }
    }
    return secret->nkeys >= 1 && secret->nkeys <= AIGW_CALLBACK_KEYS
               ? NULL
               : "AIGWCallbackSecret takes the secret's source, and behind it those of older ones, four at most: AIGWCallbackSecret "
                 "file:/etc/aigw/callback.secret";
}

const char *aigw_callback_set_private(cmd_parms *cmd, void *dummy, int on)
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);

    conf->allow_private = on;
    return err;
}

const char *aigw_callback_set_network(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);

    if (!err && (err = aigw_address_network(cmd->pool, arg, conf->networks)) != NULL) {
        err = apr_pstrcat(cmd->pool, "AIGWCallbackNetwork: ", err, NULL);
    }
    return err;
}

const char *aigw_callback_set_timeout(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);

    if (!err && !read_time(arg, TIMEOUT_MIN, TIMEOUT_MAX, &conf->timeout)) {
        err = apr_psprintf(cmd->pool, "AIGWCallbackTimeout: \"%s\" is no time from 100ms to 60s", arg);
    }
    return err;
}

const char *aigw_callback_set_retry(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);
    int i;

    for (i = 0; !err && i < argc; i++) {
        const char *arg = argv[i];

        if (!(!strncmp(arg, "first=", 6) && read_time(arg + 6, FIRST_MIN, PAUSE_MAX, &conf->retry.first)) &&
            !(!strncmp(arg, "max=", 4) && read_time(arg + 4, FIRST_MIN, PAUSE_MAX, &conf->retry.max)) &&
            !(!strncmp(arg, "for=", 4) && read_time(arg + 4, apr_time_from_sec(1), TOTAL_MAX, &conf->retry.total))) {
            err = apr_psprintf(
                cmd->pool,
                "AIGWCallbackRetry: \"%s\" is none of first=TIME and max=TIME (from 100ms to 24h) and for=TIME (from 1s to 720h)", arg);
        }
    }
    if (!err && (argc < 1 || conf->retry.first > conf->retry.max)) {
        err = argc < 1 ? "AIGWCallbackRetry takes first=TIME, max=TIME and for=TIME" : "AIGWCallbackRetry: first is longer than max";
    }
    return err;
}

const char *aigw_callback_set_ca(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_callback_conf_t *conf;
    const char *err = of(cmd, &conf);

    conf->ca = ap_server_root_relative(cmd->pool, arg);
    return err ? err : conf->ca ? NULL : apr_psprintf(cmd->pool, "AIGWCallbackCA: \"%s\" is no path", arg);
}

/* ------------------------------------------------------------------ when all is read */

static int has_certificate(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *first = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;

    X509_free(first);
    BIO_free(file);
    return first != NULL;
}

static int read_keys(aigw_callback_secret_t *secret, server_rec *s, apr_pool_t *ptemp)
{
    const char *why = NULL, *text;
    int i;

    for (i = 0; i < secret->nkeys; i++) {
        text = aigw_tasks_core->secret_read(ptemp, ptemp, secret->sources[i], &why);
        if (!text || (why = aigw_webhook_key_read(ptemp, text, &secret->keys[i])) != NULL) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0611: AIGWCallbackSecret: no secret from %s: %s", secret->sources[i], why);
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

int aigw_callback_conf_check(aigw_callback_conf_t *conf, server_rec *s, apr_pool_t *ptemp)
{
    int i;

    if (aigw_callback_list_is_empty(&conf->allow)) {
        return OK;
    }
    if (!conf->all.nkeys) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     "AIGW0610: AIGWCallbackAllow needs AIGWCallbackSecret: a receiver could not tell our callbacks from anybody's");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (read_keys(&conf->all, s, ptemp)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (i = 0; i < conf->secrets->nelts; i++) {
        if (read_keys(APR_ARRAY_IDX(conf->secrets, i, aigw_callback_secret_t *), s, ptemp)) {
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    if (conf->ca && !has_certificate(conf->ca)) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0612: AIGWCallbackCA: %s cannot be read, or has no certificate in PEM", conf->ca);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

const aigw_callback_secret_t *aigw_callback_conf_secret(const aigw_callback_conf_t *conf, const aigw_callback_url_t *url)
{
    int i;

    for (i = 0; i < conf->secrets->nelts; i++) {
        const aigw_callback_secret_t *secret = APR_ARRAY_IDX(conf->secrets, i, const aigw_callback_secret_t *);

        if (aigw_callback_list_has(&secret->receivers, url)) {
            return secret;
        }
    }
    return &conf->all;
}
