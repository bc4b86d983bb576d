#include "store.h"
#include "stores.h"
#include "conf.h"
#include "secret.h"

#include <ap_provider.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

#define TIMEOUT         apr_time_from_sec(2)
#define TIMEOUT_MIN     apr_time_from_msec(10)
#define TIMEOUT_MAX     apr_time_from_sec(60)
#define CONNECTIONS     4
#define CONNECTIONS_MAX 256

/* What AIGWStore says; anew with each reading of the configuration. */
static struct {
    const aigw_store_vt *vt; /* NULL: there is none */
    const char *name, *args;
    const char *password_source;
    aigw_store_options_t options;
    aigw_store_t *store; /* in a child; NULL: it could not be opened */
} conf;

void aigw_stores_register(apr_pool_t *p)
{
    static const aigw_store_vt *const stores[] = {&aigw_store_sqlite, &aigw_store_pgsql, &aigw_store_redis};
    apr_size_t i;

    memset(&conf, 0, sizeof conf);
    conf.options.sync_full = 1;
    conf.options.timeout = TIMEOUT;
    conf.options.connections = CONNECTIONS;
    for (i = 0; i < sizeof stores / sizeof *stores; i++) {
        ap_register_provider(p, AIGW_STORE_GROUP, stores[i]->name, AIGW_STORE_VERSION, stores[i]);
    }
}

static const char *names(apr_pool_t *p)
{
    const apr_array_header_t *all = ap_list_provider_names(p, AIGW_STORE_GROUP, AIGW_STORE_VERSION);
    const char *text = NULL;
    int i;

    for (i = 0; i < all->nelts; i++) {
        const char *name = APR_ARRAY_IDX(all, i, ap_list_provider_names_t).provider_name;

        text = text ? apr_pstrcat(p, text, ", ", name, NULL) : name;
    }
    return text;
}

const char *aigw_store_set(cmd_parms *cmd, void *dummy, int argc, char *const argv[])
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY), *colon;
    int i;

    if (err) {
        return err;
    }
    if (argc < 1 || argc > 2) {
        return "AIGWStore takes a store, and perhaps its password: AIGWStore sqlite:/var/lib/aigw/aigw.db";
    }
    colon = ap_strchr_c(argv[0], ':');
    conf.name = colon ? apr_pstrmemdup(cmd->pool, argv[0], (apr_size_t)(colon - argv[0])) : apr_pstrdup(cmd->pool, argv[0]);
    conf.args = colon ? apr_pstrdup(cmd->pool, colon + 1) : "";
    conf.vt = ap_lookup_provider(AIGW_STORE_GROUP, conf.name, AIGW_STORE_VERSION);
    conf.password_source = NULL;
    if (!conf.vt) {
        return apr_psprintf(cmd->pool, "AIGWStore: there is no store \"%s\": it is one of %s", conf.name, names(cmd->pool));
    }
    for (i = 1; i < argc; i++) {
        if (strncmp(argv[i], "password=", 9)) {
            return apr_psprintf(cmd->pool, "AIGWStore: \"%s\" is not password=SOURCE; put what belongs together into quotes", argv[i]);
        }
        conf.password_source = apr_pstrdup(cmd->pool, argv[i] + 9);
        if ((err = aigw_secret_source_fault(cmd->pool, "AIGWStore: password", conf.password_source)) != NULL) {
            return err;
        }
    }
    err = conf.vt->check(cmd->pool, conf.args);
    return err ? apr_pstrcat(cmd->pool, "AIGWStore ", err, NULL) : NULL;
}

const char *aigw_store_set_sync(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (err || (strcmp(arg, "full") && strcmp(arg, "normal"))) {
        return err ? err : apr_psprintf(cmd->pool, "AIGWStoreSync: \"%s\" is neither full nor normal", arg);
    }
    conf.options.sync_full = !strcmp(arg, "full");
    return NULL;
}

const char *aigw_store_set_timeout(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (err) {
        return err;
    }
    return aigw_conf_time(arg, "s", &conf.options.timeout) && conf.options.timeout >= TIMEOUT_MIN && conf.options.timeout <= TIMEOUT_MAX
               ? NULL
               : apr_psprintf(cmd->pool, "AIGWStoreTimeout: \"%s\" is no time from 10ms to 1min", arg);
}

const char *aigw_store_set_connections(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char *end;
    const apr_int64_t n = apr_strtoi64(arg, &end, 10);

    if (err || *end || end == arg || n < 1 || n > CONNECTIONS_MAX) {
        return err ? err : apr_psprintf(cmd->pool, "AIGWStoreConnections: \"%s\" is no number from 1 to %d", arg, CONNECTIONS_MAX);
    }
    conf.options.connections = (int)n;
    return NULL;
}

apr_status_t aigw_store_check_config(server_rec *main_server, apr_pool_t *p)
{
    return conf.vt && conf.vt->check_config ? conf.vt->check_config(main_server, p, conf.args) : APR_SUCCESS;
}

apr_status_t aigw_store_post_config(server_rec *main_server, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    const char *why = NULL;

    if (!conf.vt || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return APR_SUCCESS;
    }
    conf.options.server = main_server;
    if (conf.password_source && !(conf.options.password = aigw_secret_read(pconf, ptemp, conf.password_source, &why))) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server, "AIGW0509: AIGWStore: no password from %s: %s", conf.password_source, why);
        return APR_EGENERAL;
    }
    return conf.vt->prepare(ptemp, conf.args, &conf.options);
}

void aigw_store_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    if (conf.vt) {
        conf.store = conf.vt->open(pchild, conf.args, &conf.options);
    }
}

const aigw_store_vt *aigw_store_get(aigw_store_t **store)
{
    *store = conf.store;
    return conf.store ? conf.vt : NULL;
}

const char *aigw_store_name(void)
{
    return conf.vt ? conf.name : NULL;
}
