#include "tls_check.h"
#include "conf.h"

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_fnmatch.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw);

/* What the directives say for one place; later ones and inner ones win. */
typedef struct tls_t {
    int engine;    /* SSLProxyEngine on */
    int verify;    /* SSLProxyVerify require */
    int peer_name; /* SSLProxyCheckPeerName, on unless said otherwise */
} tls_t;

static void read_directive(tls_t *tls, const ap_directive_t *d)
{
    if (!ap_cstr_casecmp(d->directive, "SSLProxyEngine")) {
        tls->engine = !ap_cstr_casecmp(d->args, "on");
    }
    else if (!ap_cstr_casecmp(d->directive, "SSLProxyVerify")) {
        tls->verify = !ap_cstr_casecmp(d->args, "require");
    }
    else if (!ap_cstr_casecmp(d->directive, "SSLProxyCheckPeerName")) {
        tls->peer_name = !ap_cstr_casecmp(d->args, "on");
    }
}

/* Does <Proxy "pattern"> hold for this worker's address? */
static int proxy_block_matches(apr_pool_t *p, const ap_directive_t *d, const char *url)
{
    const char *args = d->args, *pattern = ap_getword_conf(p, &args);
    apr_size_t len;

    if ((len = strlen(pattern)) && pattern[len - 1] == '>') {
        pattern = apr_pstrmemdup(p, pattern, len - 1);
        len--;
    }
    return !strcmp(pattern, "*") ||
           (apr_fnmatch_test(pattern) ? apr_fnmatch(pattern, url, 0) == APR_SUCCESS : len && !ap_cstr_casecmpn(url, pattern, len));
}

/* The directives of one level; of sections only <Proxy> blocks for this upstream are entered. */
static void read_level(apr_pool_t *p, tls_t *tls, const ap_directive_t *first, const char *url, const char *balancer)
{
    const ap_directive_t *d;

    for (d = first; d; d = d->next) {
        read_directive(tls, d);
    }
    for (d = first; d; d = d->next) {
        if (d->first_child && !ap_cstr_casecmp(d->directive, "<Proxy") &&
            (proxy_block_matches(p, d, url) || (balancer && proxy_block_matches(p, d, balancer)))) {
            const ap_directive_t *in;
            for (in = d->first_child; in; in = in->next) {
                read_directive(tls, in);
            }
        }
    }
}

/* The <VirtualHost> block of s. */
static const ap_directive_t *find_vhost(const ap_directive_t *first, const server_rec *s)
{
    const ap_directive_t *d;

    for (d = first; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, "<VirtualHost") && s->defn_name && d->filename && !strcmp(d->filename, s->defn_name) &&
            d->line_num == (int)s->defn_line_number) {
            return d;
        }
    }
    return NULL;
}

static tls_t effective(apr_pool_t *p, const server_rec *s, const char *url, const char *balancer)
{
    tls_t tls = {0, 0, 1};
    const ap_directive_t *vhost = s->is_virtual ? find_vhost(ap_conftree, s) : NULL;

    read_level(p, &tls, ap_conftree, url, balancer);
    if (vhost) {
        read_level(p, &tls, vhost->first_child, url, balancer);
    }
    return tls;
}

static apr_status_t check_one(apr_pool_t *ptemp, server_rec *s, const aigw_model_t *model, const proxy_worker *worker, const char *balancer)
{
    const char *why = NULL;
    tls_t tls;

    if (ap_cstr_casecmp(worker->s->scheme, "https")) {
        return APR_SUCCESS;
    }
    tls = effective(ptemp, s, worker->s->name_ex, balancer);
    if (!ap_find_linked_module("mod_ssl.c")) {
        why = "https needs mod_ssl: a2enmod ssl";
    }
    else if (!tls.engine) {
        why = "https needs 'SSLProxyEngine on'";
    }
    else if (!tls.verify) {
        why = "its certificate would not be verified: add 'SSLProxyVerify require', 'SSLProxyVerifyDepth 5' and 'SSLProxyCACertificateFile "
              "/etc/ssl/certs/ca-certificates.crt'";
    }
    else if (!tls.peer_name) {
        why = "the name in its certificate would not be checked: remove 'SSLProxyCheckPeerName off'";
    }
    if (!why) {
        return APR_SUCCESS;
    }
    if (aigw_conf_server(s)->allow_unverified == 1 && tls.engine) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "AIGW0174: model %s: upstream %s: %s (allowed by AIGWAllowUnverifiedUpstream)",
                     model->name, worker->s->name_ex, why);
        return APR_SUCCESS;
    }
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "AIGW0175: %s:%u: model %s: upstream %s: %s%s", model->upstream->defn_name,
                 model->upstream->defn_line, model->name, worker->s->name_ex, why,
                 tls.engine ? ", or allow it with 'AIGWAllowUnverifiedUpstream on'" : "");
    return APR_EGENERAL;
}

apr_status_t aigw_tls_check(apr_pool_t *ptemp, server_rec *s, const aigw_model_t *model, const proxy_worker *worker,
                            const proxy_balancer *balancer)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    if (worker) {
        return check_one(ptemp, s, model, worker, NULL);
    }
    for (i = 0; balancer && i < balancer->workers->nelts && rv == APR_SUCCESS; i++) {
        rv = check_one(ptemp, s, model, APR_ARRAY_IDX(balancer->workers, i, proxy_worker *), balancer->s->name);
    }
    return rv;
}
