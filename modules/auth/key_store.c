#include "key_store.h"
#include "auth.h"
#include "aigw_key_file.h"
#include "aigw_names.h"

#include <http_log.h>
#include <mod_watchdog.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>
#include <openssl/crypto.h>

#include <stdlib.h>

APLOG_USE_MODULE(aigw_auth);

#define LOOK_EVERY apr_time_from_sec(1)
#define FILE_MAX   (256 * 1024 * 1024) /* bytes */

/* What tells one state of a file from the next. */
typedef struct stamp_t {
    apr_time_t mtime;
    apr_off_t size;
    apr_ino_t inode;
} stamp_t;

typedef struct generation_t {
    apr_pool_t *pool;
    aigw_key_file_t *file;
    stamp_t stamp;
    int users; /* threads that look up in it now; and one for being the current one. Under the store's mutex */
} generation_t;

struct aigw_key_store_t {
    const char *path;
    server_rec *server;
    int watched;
    generation_t *current;     /* under mutex, once there is one */
    apr_thread_mutex_t *mutex; /* of the child; NULL before */
    stamp_t refused;           /* the state that was logged last. Of the child's watchdog */
};

aigw_key_store_t *aigw_key_store_make(apr_pool_t *p, const char *path)
{
    aigw_key_store_t *store = apr_pcalloc(p, sizeof *store);

    store->path = apr_pstrdup(p, path);
    return store;
}

const char *aigw_key_store_path(const aigw_key_store_t *store)
{
    return store->path;
}

/* ------------------------------------------------------------------ reading */

static apr_status_t look(const char *path, stamp_t *stamp, apr_pool_t *p)
{
    apr_finfo_t info;
    apr_status_t rv;

    memset(&info, 0, sizeof info);
    rv = apr_stat(&info, path, APR_FINFO_MTIME | APR_FINFO_SIZE | APR_FINFO_INODE, p);
    stamp->mtime = info.mtime;
    stamp->size = info.size;
    stamp->inode = info.inode;
    return rv == APR_INCOMPLETE ? APR_SUCCESS : rv;
}

static int same(const stamp_t *a, const stamp_t *b)
{
    return a->mtime == b->mtime && a->size == b->size && a->inode == b->inode;
}

static apr_status_t slurp(const char *path, char **text, apr_size_t *len, stamp_t *stamp, apr_pool_t *p)
{
    apr_file_t *f;
    apr_finfo_t info;
    apr_status_t rv = apr_file_open(&f, path, APR_READ | APR_BINARY, 0, p);

    *text = NULL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = apr_file_info_get(&info, APR_FINFO_MTIME | APR_FINFO_SIZE | APR_FINFO_INODE, f);
    if (rv == APR_SUCCESS || rv == APR_INCOMPLETE) {
        *stamp = (stamp_t){info.mtime, info.size, info.inode};
        *len = (apr_size_t)info.size;
        rv = info.size > FILE_MAX ? APR_ENOSPC : (*text = malloc(*len + 1)) == NULL ? APR_ENOMEM : apr_file_read_full(f, *text, *len, NULL);
    }
    apr_file_close(f);
    return rv;
}

static void drop(generation_t *g)
{
    apr_pool_destroy(g->pool);
}

/* The file as it is now, in a pool of its own; NULL: it has been logged why not. */
static generation_t *read_file(aigw_key_store_t *store)
{
    apr_allocator_t *allocator;
    aigw_key_fault_t fault = {0};
    generation_t *g;
    apr_pool_t *pool;
    apr_size_t len = 0;
    apr_status_t rv;
    char *text;

    if (apr_allocator_create(&allocator) != APR_SUCCESS || apr_pool_create_ex(&pool, NULL, NULL, allocator) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    g = apr_pcalloc(pool, sizeof *g);
    g->pool = pool;
    g->users = 1;
    rv = slurp(store->path, &text, &len, &g->stamp, pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, store->server, "AIGW0310: the key file %s cannot be read%s", store->path,
                     store->mutex ? ": the keys stay as they were. Its folder and the file must be readable for httpd's User" : "");
    }
    else if (aigw_key_file_read(&g->file, text, len, pool, &fault) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, store->server, "AIGW0311: %s, line %d: %s%s", store->path, fault.line, fault.message,
                     store->mutex ? " The keys stay as they were." : "");
        rv = APR_EINVAL;
    }
    if (text) {
        OPENSSL_cleanse(text, len);
        free(text);
    }
    if (rv == APR_SUCCESS) {
        return g;
    }
    if (rv == APR_EINVAL) {
        store->refused = g->stamp;
    }
    else if (APR_STATUS_IS_EACCES(rv) || APR_STATUS_IS_ENOENT(rv)) {
        look(store->path, &store->refused, pool);
    } /* else it may pass: no descriptors, no memory */
    drop(g);
    return NULL;
}

/* With the configuration goes what the main process has read for it. */
static apr_status_t forget(void *data)
{
    aigw_key_store_t *store = data;

    if (store->current) {
        drop(store->current);
        store->current = NULL;
    }
    return APR_SUCCESS;
}

int aigw_key_store_load(aigw_key_store_t *store, server_rec *s, apr_pool_t *pconf)
{
    store->server = s;
    if (!store->current && (store->current = read_file(store)) != NULL) {
        apr_pool_cleanup_register(pconf, store, forget, apr_pool_cleanup_null);
    }
    return store->current ? 0 : -1;
}

/* ------------------------------------------------------------------ in a child */

static generation_t *take(aigw_key_store_t *store)
{
    generation_t *g;

    apr_thread_mutex_lock(store->mutex);
    g = store->current;
    if (g) {
        g->users++;
    }
    apr_thread_mutex_unlock(store->mutex);
    return g;
}

static void give_back(aigw_key_store_t *store, generation_t *g)
{
    int left;

    apr_thread_mutex_lock(store->mutex);
    left = --g->users;
    apr_thread_mutex_unlock(store->mutex);
    if (!left) {
        drop(g);
    }
}

static void read_again(aigw_key_store_t *store)
{
    generation_t *old, *new = read_file(store);

    if (new) {
        apr_thread_mutex_lock(store->mutex);
        old = store->current;
        store->current = new;
        apr_thread_mutex_unlock(store->mutex);
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, store->server, "AIGW0313: %s has changed: %" APR_SIZE_T_FMT " keys", store->path,
                     new->file->n);
        if (old) {
            give_back(store, old);
        }
    }
}

/* Nobody else changes store->current in a child, so it may be read without the mutex. */
static void follow(aigw_key_store_t *store, apr_pool_t *p)
{
    stamp_t stamp;

    look(store->path, &stamp, p); /* where there is no file, that is a state too */
    if (!(store->current && same(&stamp, &store->current->stamp)) && !same(&stamp, &store->refused)) {
        read_again(store);
    }
}

void aigw_key_store_child_init(aigw_key_store_t *store, apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = store->mutex ? APR_SUCCESS : apr_thread_mutex_create(&store->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "AIGW0312: no mutex for the key file: no API key is accepted in this child");
        return;
    }
    follow(store, pchild); /* the main process has read it long ago, perhaps */
}

static apr_status_t on_watchdog(int state, void *data, apr_pool_t *p)
{
    aigw_key_store_t *store = data;

    if (state == AP_WATCHDOG_STATE_RUNNING && store->mutex) {
        follow(store, p);
    }
    return APR_SUCCESS;
}

apr_status_t aigw_key_store_watch(aigw_key_store_t *store, apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;
    apr_status_t rv = get && add ? get(&watchdog, "_aigw_keys_", 0, 0, pconf) : APR_ENOTIMPL;

    if (rv == APR_SUCCESS && !store->watched) { /* virtual hosts share the main server's */
        store->watched = 1;
        rv = add(watchdog, LOOK_EVERY, store, on_watchdog);
    }
    return rv;
}

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
    generation_t *g = store->mutex ? take(store) : NULL;
    aigw_key_e found = AIGW_KEY_UNKNOWN;

    if (g) {
        if (aigw_api_key_digest(key, len, digest) == APR_SUCCESS) {
            found = judge(aigw_key_file_find(g->file, digest), now, p, identity);
        }
        give_back(store, g);
    }
    return found;
}
