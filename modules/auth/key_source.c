#include "key_source.h"
#include "auth.h"
#include "followed_file.h"
#include "jwks_remote.h"
#include "material.h"
#include "aigw_jwks.h"

#include <http_log.h>
#include <apr_strings.h>
#include <openssl/crypto.h>

APLOG_USE_MODULE(aigw_auth);

/* Of key, file and remote it has one. */
struct aigw_key_source_t {
    const char *name;           /* as configured */
    aigw_jws_key_t key;         /* file:, env: */
    aigw_followed_file_t *file; /* jwks:PATH */
    aigw_jwks_remote_t *remote; /* jwks:https:… */
};

/* ------------------------------------------------------------------ configuration */

static void *read_jwks(apr_pool_t *p, const char *text, apr_size_t len, const char **fault)
{
    aigw_jwks_t *set = apr_palloc(p, sizeof *set);
    const char *why = aigw_jwks_read(p, text, len, AIGW_JWKS_FILE, set);

    if (why) {
        *fault = apr_psprintf(p, ": %s.", why);
        return NULL;
    }
    return set;
}

static apr_size_t count_jwks(const void *data)
{
    const aigw_jwks_t *set = data;

    return (apr_size_t)set->keys->nelts;
}

static const aigw_followed_kind_t jwks_file = {"key file", "keys", AIGW_JWKS_BYTES_MAX, read_jwks, count_jwks};

static const char *make_jwks(apr_pool_t *p, const char *where, aigw_key_source_t *source)
{
    const char *path, *fault;

    if (strstr(where, "://")) {
        source->remote = aigw_jwks_remote_make(p, where, &fault);
        return source->remote ? NULL : apr_psprintf(p, "the address behind jwks: %s", fault);
    }
    path = *where ? ap_server_root_relative(p, where) : NULL;
    if (!path) {
        return "jwks: wants a path or an address behind it, such as jwks:https://issuer/jwks.json";
    }
    source->file = aigw_followed_file_make(p, path, &jwks_file);
    return NULL;
}

const char *aigw_key_source_make(apr_pool_t *p, const char *text, aigw_key_source_t **source)
{
    *source = apr_pcalloc(p, sizeof **source);
    (*source)->name = apr_pstrdup(p, text);
    if (!strncmp(text, "jwks:", 5)) {
        return make_jwks(p, text + 5, *source);
    }
    /* not repeated: it may be the secret itself */
    return aigw_material_is_source(text) ? NULL : "where the key is: file:PATH, env:NAME, jwks:PATH or jwks:https://address";
}

const char *aigw_key_source_name(const aigw_key_source_t *source)
{
    return source->name;
}

/* ------------------------------------------------------------------ reading */

static int is_secret(const aigw_jws_key_t *key)
{
    return (key->algs & AIGW_JWS_HS) != 0;
}

/* With the configuration goes the secret. */
static apr_status_t forget_key(void *data)
{
    aigw_key_source_t *source = data;

    OPENSSL_cleanse((char *)source->key.material, source->key.len);
    source->key.algs = 0;
    return APR_SUCCESS;
}

static int load_key(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf)
{
    const char *text, *fault, *path;
    apr_size_t len;
    int secret;

    fault = aigw_material_read(pconf, source->name, &text, &len);
    if (!fault) {
        fault =
            aigw_jws_is_pem(text, len) ? aigw_jws_public(pconf, text, len, &source->key) : aigw_jws_secret(pconf, text, len, &source->key);
        secret = (source->key.algs & AIGW_JWS_HS) || ap_strstr_c(text, "PRIVATE KEY-----");
        path = aigw_material_path(pconf, source->name);
        OPENSSL_cleanse((char *)text, len); /* the key has a copy */
        if (secret && path) {
            aigw_material_warn_if_open(path, s, pconf);
        }
    }
    if (fault) {
        source->key.algs = 0;
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0350: no key from %s: %s", source->name, fault);
        return -1;
    }
    apr_pool_cleanup_register(pconf, source, forget_key, apr_pool_cleanup_null);
    return 0;
}

/* All of a kind, not what today's keys can do: the file may change. A kind that is not there is not let in by a change of the file. */
static int load_jwks_file(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf, unsigned *algs)
{
    const aigw_jwks_t *set = aigw_followed_file_load(source->file, s, pconf);
    int i;

    if (!set) {
        return -1;
    }
    for (*algs = 0, i = 0; i < set->keys->nelts; i++) {
        *algs |= is_secret(&APR_ARRAY_IDX(set->keys, i, aigw_jws_key_t)) ? AIGW_JWS_HS : AIGW_JWS_RS | AIGW_JWS_ES;
    }
    if (*algs & AIGW_JWS_HS) {
        aigw_material_warn_if_open(aigw_followed_file_path(source->file), s, pconf);
    }
    return 0;
}

int aigw_key_source_load(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf, unsigned *algs)
{
    if (source->remote) {
        *algs = AIGW_JWS_RS | AIGW_JWS_ES;
        return aigw_jwks_remote_load(source->remote, s, pconf);
    }
    if (source->file) {
        return load_jwks_file(source, s, pconf, algs);
    }
    if (!source->key.algs && load_key(source, s, pconf)) {
        return -1;
    }
    *algs = source->key.algs;
    return 0;
}

int aigw_key_source_post_config(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf)
{
    if (source->remote) {
        return aigw_jwks_remote_post_config(source->remote, s, pconf);
    }
    if (source->file && aigw_followed_file_watch(source->file, pconf) != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_CRIT, 0, s,
            "AIGW0355: %s needs mod_watchdog, which sees when the file changes (LoadModule watchdog_module path/to/mod_watchdog.so)",
            source->name);
        return -1;
    }
    return 0;
}

void aigw_key_source_child_init(aigw_key_source_t *source, server_rec *s, apr_pool_t *pchild)
{
    if (source->remote) {
        aigw_jwks_remote_child_init(source->remote, s, pchild);
    }
    if (source->file) {
        aigw_followed_file_child_init(source->file, pchild, s);
    }
}

/* ------------------------------------------------------------------ finding */

static int find_in_file(aigw_key_source_t *source, const char *kid, unsigned alg, apr_pool_t *p, aigw_jws_key_t keys[AIGW_KEYS_TRIED])
{
    aigw_generation_t *g = aigw_followed_file_take(source->file);
    int n = 0;

    if (g) {
        n = aigw_jwks_copy(p, g->data, kid, alg, keys, AIGW_KEYS_TRIED);
        aigw_followed_file_give_back(source->file, g);
    }
    return n;
}

aigw_keys_e aigw_key_source_find(aigw_key_source_t *source, server_rec *s, const char *kid, unsigned alg, apr_pool_t *p,
                                 aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count)
{
    if (source->remote) {
        return aigw_jwks_remote_find(source->remote, kid, alg, p, keys, count);
    }
    if (source->file) {
        *count = find_in_file(source, kid, alg, p, keys);
    }
    else {
        keys[0] = source->key; /* as long as the configuration */
        *count = (source->key.algs & alg) != 0;
    }
    return *count ? AIGW_KEYS_FOUND : AIGW_KEYS_NONE;
}
