#include "key_store.h"
#include "auth.h"
#include "aigw_key_file.h"
#include "aigw_names.h"
#include "followed_file.h"

#include <apr_strings.h>

#define FILE_MAX (256 * 1024 * 1024) /* bytes */

struct aigw_key_store_t {
    aigw_followed_file_t *file;
};

/* ------------------------------------------------------------------ the file */

static void *read_keys(apr_pool_t *p, const char *text, apr_size_t len, const char **fault)
{
    aigw_key_fault_t found = {0};
    aigw_key_file_t *keys;

    if (aigw_key_file_read(&keys, text, len, p, &found) == APR_SUCCESS) {
        return keys;
    }
    *fault = apr_psprintf(p, ", line %d: %s", found.line, found.message);
    return NULL;
}

static apr_size_t count_keys(const void *data)
{
    const aigw_key_file_t *keys = data;

    return keys->n;
}

static const aigw_followed_kind_t api_keys = {"key file", "keys", FILE_MAX, read_keys, count_keys};

aigw_key_store_t *aigw_key_store_make(apr_pool_t *p, const char *path)
{
    aigw_key_store_t *store = apr_pcalloc(p, sizeof *store);

    store->file = aigw_followed_file_make(p, path, &api_keys);
    return store;
}

const char *aigw_key_store_path(const aigw_key_store_t *store)
{
    return aigw_followed_file_path(store->file);
}

int aigw_key_store_load(aigw_key_store_t *store, server_rec *s, apr_pool_t *pconf)
{
    return aigw_followed_file_load(store->file, s, pconf) ? 0 : -1;
}

apr_status_t aigw_key_store_watch(aigw_key_store_t *store, apr_pool_t *pconf)
{
    return aigw_followed_file_watch(store->file, pconf);
}

void aigw_key_store_child_init(aigw_key_store_t *store, apr_pool_t *pchild, server_rec *s)
{
    aigw_followed_file_child_init(store->file, pchild, s);
}

/* ------------------------------------------------------------------ looking up */

static aigw_key_e judge(const aigw_key_t *key, apr_time_t now, apr_pool_t *p, aigw_identity_t *identity)
{
    if (!key) {
        return AIGW_KEY_UNKNOWN;
    }
    identity->key_id = apr_pstrdup(p, key->id);
    if (key->disabled) {
        return AIGW_KEY_DISABLED;
    }
    if (key->expires && now >= key->expires) {
        return AIGW_KEY_EXPIRED;
    }
    identity->user = apr_pstrdup(p, key->user);
    identity->tier = apr_pstrdup(p, key->tier);
    identity->method = AIGW_AUTH_API_KEY;
    identity->scopes = aigw_names_copy(p, key->scopes);
    identity->models = aigw_names_copy(p, key->models);
    identity->expires = key->expires;
    return AIGW_KEY_GOOD;
}

aigw_key_e aigw_key_store_find(aigw_key_store_t *store, const char *key, apr_size_t len, apr_time_t now, apr_pool_t *p,
                               aigw_identity_t *identity)
{
    unsigned char digest[AIGW_SHA256];
    aigw_generation_t *g = aigw_followed_file_take(store->file);
    aigw_key_e found = AIGW_KEY_UNKNOWN;

    if (g) {
        if (aigw_api_key_digest(key, len, digest) == APR_SUCCESS) {
            found = judge(aigw_key_file_find(g->data, digest), now, p, identity);
        }
        aigw_followed_file_give_back(store->file, g);
    }
    return found;
}

aigw_key_e aigw_key_store_named(aigw_key_store_t *store, const char *id, apr_pool_t *p, aigw_identity_t *identity)
{
    aigw_generation_t *g = aigw_followed_file_take(store->file);
    aigw_key_e found = AIGW_KEY_UNKNOWN;

    if (g) {
        found = judge(aigw_key_file_named(g->data, id), 0, p, identity);
        aigw_followed_file_give_back(store->file, g);
    }
    return found;
}
