#include "jwks_remote.h"
#include "auth.h"
#include "generation.h"
#include "jwks_keeper.h"
#include "aigw_clock.h"
#include "aigw_jwks.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <apr_strings.h>
#include <apr_uri.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

APLOG_USE_MODULE(aigw_auth);

#define URL_MAX 2048

struct aigw_jwks_remote_t {
    aigw_jwks_address_t address;
    int opened; /* post_config has been here */
    /* of a child */
    aigw_generations_t sets;   /* aigw_jwks_t */
    apr_thread_mutex_t *parse; /* one thread reads a new document; the others wait for it */
    apr_uint32_t number;       /* of the document that sets has */
    apr_uint32_t waiting;      /* threads */
    apr_uint32_t waiting_max;
    apr_uint32_t said_stale;
};

/* ------------------------------------------------------------------ configuration */

static const char *url_fault(apr_pool_t *p, const char *url)
{
    const char *c;
    apr_uri_t uri;

    for (c = url; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f) {
            return "has a character that no address has";
        }
    }
    if (c - url > URL_MAX || apr_uri_parse(p, url, &uri) != APR_SUCCESS || !uri.scheme || !uri.hostname || !*uri.hostname) {
        return "is no address";
    }
    if (strcmp(uri.scheme, "https") != 0) {
        return "is not https: who changes the keys on their way, or the answer to a name, makes tokens of anybody";
    }
    if (uri.user || uri.password || uri.fragment) {
        return "has a user name, a password or a fragment: keys are public";
    }
    return NULL;
}

aigw_jwks_remote_t *aigw_jwks_remote_make(apr_pool_t *p, const char *url, const char **fault)
{
    aigw_jwks_remote_t *remote;

    *fault = url_fault(p, url);
    if (*fault) {
        return NULL;
    }
    remote = apr_pcalloc(p, sizeof *remote);
    remote->address.url = apr_pstrdup(p, url);
    return remote;
}

/* libcurl would say it at each fetch, and only then. */
static const char *ca_file_fault(const char *path)
{
    FILE *f = fopen(path, "re");
    X509 *x509 = f ? PEM_read_X509_AUX(f, NULL, NULL, NULL) : NULL;
    const char *fault = !f ? "cannot be read" : !x509 ? "has no certificate in PEM" : NULL;

    X509_free(x509);
    ERR_clear_error();
    if (f) {
        fclose(f);
    }
    return fault;
}

int aigw_jwks_remote_load(aigw_jwks_remote_t *remote, server_rec *s, apr_pool_t *pconf)
{
    const char *fault;

    if (!remote->address.server) { /* virtual hosts share the main server's */
        remote->address.server = s;
        remote->address.conf = aigw_jwks_conf(s);
    }
    fault = remote->address.conf.ca_file ? ca_file_fault(remote->address.conf.ca_file) : NULL;
    if (fault) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0359: AIGWJwksCAFile: %s %s", remote->address.conf.ca_file, fault);
        return -1;
    }
    return 0;
}

int aigw_jwks_remote_post_config(aigw_jwks_remote_t *remote, server_rec *s, apr_pool_t *pconf)
{
    aigw_jwks_address_t *address = &remote->address;
    apr_status_t rv;

    if (remote->opened) {
        return 0;
    }
    rv = aigw_jwks_share_open(&address->share, address->server, pconf, address->url, address->conf.ca_file);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "AIGW0356: no shared memory for the keys of %s", address->url);
        return -1;
    }
    remote->opened = 1;
    aigw_jwks_keeper_add(address, pconf);
    return 0;
}

void aigw_jwks_remote_child_init(aigw_jwks_remote_t *remote, server_rec *s, apr_pool_t *pchild)
{
    int threads = 1;
    apr_status_t rv;

    if (remote->parse) {
        return;
    }
    if ((rv = aigw_generations_child_init(&remote->sets, pchild)) != APR_SUCCESS ||
        (rv = apr_thread_mutex_create(&remote->parse, APR_THREAD_MUTEX_DEFAULT, pchild)) != APR_SUCCESS) {
        remote->parse = NULL;
        aigw_jwks_keeper_fault(s, rv, "no mutex");
        return;
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    remote->waiting_max = threads < 4 ? 1 : (apr_uint32_t)threads * 3 / 4;
    aigw_jwks_keeper_child_init(pchild, s);
}

/* ------------------------------------------------------------------ the child's copy */

/* Under the parse mutex. */
static void read_document(aigw_jwks_remote_t *remote)
{
    aigw_generation_t *g = aigw_generation_make();
    aigw_jwks_t *set = g ? apr_palloc(g->pool, sizeof *set) : NULL;
    apr_pool_t *p = NULL;
    apr_uint32_t number;
    apr_size_t len;
    char *text;

    if (!g || apr_pool_create(&p, g->pool) != APR_SUCCESS) {
        return; /* the next request tries it again */
    }
    number = aigw_jwks_share_read(remote->address.share, p, &text, &len);
    if (aigw_jwks_read(g->pool, text, len, AIGW_JWKS_FETCHED, set) == NULL) { /* it was good when it came */
        apr_pool_destroy(p);
        g->data = set;
        aigw_generations_replace(&remote->sets, g);
    }
    else {
        aigw_generation_drop(g);
    }
    __atomic_store_n(&remote->number, number, __ATOMIC_RELEASE);
}

/* Reads the document that is there, if it is another one than the child has. */
static void catch_up(aigw_jwks_remote_t *remote)
{
    if (aigw_jwks_share_number(remote->address.share) == __atomic_load_n(&remote->number, __ATOMIC_ACQUIRE)) {
        return;
    }
    apr_thread_mutex_lock(remote->parse);
    if (aigw_jwks_share_number(remote->address.share) != __atomic_load_n(&remote->number, __ATOMIC_ACQUIRE)) {
        read_document(remote);
    }
    apr_thread_mutex_unlock(remote->parse);
}

/* Is there something that may be used? */
static int is_good(aigw_jwks_remote_t *remote, apr_time_t now)
{
    const aigw_jwks_address_t *address = &remote->address;
    apr_uint32_t stale;

    if (!aigw_jwks_share_number(address->share)) {
        return 0;
    }
    stale = now - aigw_jwks_share_good_at(address->share) > address->conf.stale;
    if (stale != __atomic_load_n(&remote->said_stale, __ATOMIC_RELAXED) &&
        stale != __atomic_exchange_n(&remote->said_stale, stale, __ATOMIC_RELAXED) && stale) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, address->server,
                     "AIGW0354: the keys from %s are older than AIGWJwksStale: none is used until the issuer answers", address->url);
    }
    return !stale;
}

/* ------------------------------------------------------------------ finding */

/* Waits until a fetch has ended that may bring what is missing: 1. 0: there is no point in it. *busy: too many wait already. */
static int wait_for_news(aigw_jwks_remote_t *remote, int have, apr_time_t until, int *busy)
{
    apr_uint32_t ended;
    int ended_one = 0;

    if (!aigw_jwks_share_ask(remote->address.share, aigw_clock_now(), have, &ended)) {
        return 0;
    }
    if (__atomic_add_fetch(&remote->waiting, 1, __ATOMIC_ACQ_REL) > remote->waiting_max) {
        *busy = 1;
    }
    else {
        while (!ended_one && aigw_clock_now() < until && !aigw_jwks_keeper_is_stopping()) {
            aigw_jwks_keeper_wake(); /* each time, also where another child fetches: should that one go, ours takes over */
            ended_one = aigw_jwks_share_wait(remote->address.share, ended);
        }
    }
    __atomic_sub_fetch(&remote->waiting, 1, __ATOMIC_ACQ_REL);
    return ended_one;
}

/* Looks in the child's copy. Returns how many; *known: the kid is known, if only for another algorithm. */
static int look(aigw_jwks_remote_t *remote, const char *kid, unsigned alg, apr_pool_t *p, aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *known)
{
    aigw_generation_t *g;
    int n = 0;

    catch_up(remote);
    g = aigw_generations_take(&remote->sets);
    if (g) {
        n = aigw_jwks_copy(p, g->data, kid, alg, keys, AIGW_KEYS_TRIED);
        *known = aigw_jwks_knows(g->data, kid);
        aigw_generations_give_back(&remote->sets, g);
    }
    return n;
}

aigw_keys_e aigw_jwks_remote_find(aigw_jwks_remote_t *remote, const char *kid, unsigned alg, apr_pool_t *p,
                                  aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count)
{
    const apr_time_t until = aigw_clock_now() + remote->address.conf.timeout + apr_time_from_sec(1);
    int have, known, busy = 0;

    *count = 0;
    if (!remote->parse) {
        return AIGW_KEYS_UNAVAILABLE;
    }
    do {
        known = 0;
        have = is_good(remote, aigw_clock_now());
        if (have && (*count = look(remote, kid, alg, p, keys, &known)) > 0) {
            return AIGW_KEYS_FOUND;
        }
    } while (!known && wait_for_news(remote, have, until, &busy));
    return have && !busy ? AIGW_KEYS_NONE : AIGW_KEYS_UNAVAILABLE;
}
