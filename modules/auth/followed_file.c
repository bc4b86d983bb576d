#include "followed_file.h"
#include "auth.h"

#include <http_log.h>
#include <mod_watchdog.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/crypto.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw_auth);

#define LOOK_EVERY apr_time_from_sec(1)
#define STAMP      (APR_FINFO_MTIME | APR_FINFO_SIZE | APR_FINFO_INODE)

/* What tells one state of a file from the next. */
typedef struct stamp_t {
    apr_time_t mtime;
    apr_off_t size;
    apr_ino_t inode;
} stamp_t;

struct aigw_followed_file_t {
    const char *path;
    const aigw_followed_kind_t *kind;
    server_rec *server;
    int watched;
    aigw_generations_t generations;
    int ready;       /* from here on stamp and refused are the watchdog's, whose thread runs already while child_init does */
    stamp_t stamp;   /* of the current generation */
    stamp_t refused; /* the state that was logged last */
};

aigw_followed_file_t *aigw_followed_file_make(apr_pool_t *p, const char *path, const aigw_followed_kind_t *kind)
{
    aigw_followed_file_t *file = apr_pcalloc(p, sizeof *file);

    file->path = apr_pstrdup(p, path);
    file->kind = kind;
    return file;
}

const char *aigw_followed_file_path(const aigw_followed_file_t *file)
{
    return file->path;
}

/* ------------------------------------------------------------------ reading */

static stamp_t stamp_of(const apr_finfo_t *info)
{
    return (stamp_t){info->mtime, info->size, info->inode};
}

static stamp_t look(const char *path, apr_pool_t *p)
{
    apr_finfo_t info;

    memset(&info, 0, sizeof info); /* where there is no file, that is a state too */
    apr_stat(&info, path, STAMP, p);
    return stamp_of(&info);
}

static int same(const stamp_t *a, const stamp_t *b)
{
    return a->mtime == b->mtime && a->size == b->size && a->inode == b->inode;
}

/* Into one malloc'ed block. */
static apr_status_t slurp(const aigw_followed_file_t *file, char **text, apr_size_t *len, stamp_t *stamp, apr_pool_t *p)
{
    apr_finfo_t info;
    apr_file_t *f;
    apr_status_t rv = apr_file_open(&f, file->path, APR_READ | APR_BINARY, 0, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    memset(&info, 0, sizeof info);
    rv = apr_file_info_get(&info, STAMP, f);
    if (rv == APR_SUCCESS || rv == APR_INCOMPLETE) {
        *stamp = stamp_of(&info);
        *len = (apr_size_t)info.size;
        rv = info.size > (apr_off_t)file->kind->max ? APR_ENOSPC
             : (*text = malloc(*len + 1)) == NULL   ? APR_ENOMEM
                                                    : apr_file_read_full(f, *text, *len, NULL);
    }
    apr_file_close(f);
    return rv;
}

/* The file as it is now; NULL: it has been logged why not. */
static aigw_generation_t *read_file(aigw_followed_file_t *file)
{
    aigw_generation_t *g = aigw_generation_make();
    const char *fault = NULL;
    char *text = NULL;
    apr_size_t len = 0;
    const int stays = file->generations.mutex != NULL; /* a child has one from before */
    apr_status_t rv;
    stamp_t stamp;

    if (!g) {
        return NULL;
    }
    rv = slurp(file, &text, &len, &stamp, g->pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, file->server, "AIGW0310: the %s %s cannot be read%s%s%s", file->kind->name, file->path,
                     stays ? ": the " : "", stays ? file->kind->things : "",
                     stays ? " stay as they were. Its folder and the file must be readable for httpd's User" : "");
        if (APR_STATUS_IS_EACCES(rv) || APR_STATUS_IS_ENOENT(rv) || rv == APR_ENOSPC) {
            file->refused = look(file->path, g->pool);
        } /* else it may pass: no descriptors, no memory */
    }
    else if ((g->data = file->kind->read(g->pool, text, len, &fault)) == NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, file->server, "AIGW0311: %s%s%s%s%s", file->path, fault, stays ? " The " : "",
                     stays ? file->kind->things : "", stays ? " stay as they were." : "");
        file->refused = stamp;
    }
    if (text) {
        OPENSSL_cleanse(text, len);
        free(text);
    }
    if (g->data) {
        file->stamp = stamp;
        return g;
    }
    aigw_generation_drop(g);
    return NULL;
}

/* With the configuration goes what the main process has read for it. */
static apr_status_t forget(void *data)
{
    aigw_followed_file_t *file = data;

    if (file->generations.current) {
        aigw_generation_drop(file->generations.current);
        file->generations.current = NULL;
    }
    return APR_SUCCESS;
}

const void *aigw_followed_file_load(aigw_followed_file_t *file, server_rec *s, apr_pool_t *pconf)
{
    file->server = s;
    if (!file->generations.current && (file->generations.current = read_file(file)) != NULL) {
        apr_pool_cleanup_register(pconf, file, forget, apr_pool_cleanup_null);
    }
    return file->generations.current ? file->generations.current->data : NULL;
}

/* ------------------------------------------------------------------ in a child */

aigw_generation_t *aigw_followed_file_take(aigw_followed_file_t *file)
{
    return file->generations.mutex ? aigw_generations_take(&file->generations) : NULL;
}

void aigw_followed_file_give_back(aigw_followed_file_t *file, aigw_generation_t *g)
{
    aigw_generations_give_back(&file->generations, g);
}

static void follow(aigw_followed_file_t *file, apr_pool_t *p)
{
    stamp_t now = look(file->path, p);
    aigw_generation_t *new;

    if (!same(&now, &file->stamp) && !same(&now, &file->refused) && (new = read_file(file)) != NULL) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, file->server, "AIGW0313: %s has changed: %" APR_SIZE_T_FMT " %s", file->path,
                     file->kind->count(new->data), file->kind->things);
        aigw_generations_replace(&file->generations, new);
    }
}

void aigw_followed_file_child_init(aigw_followed_file_t *file, apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = aigw_generations_child_init(&file->generations, pchild);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "AIGW0312: no mutex for %s: nothing in it counts in this child", file->path);
        return;
    }
    if (access(file->path, R_OK)) { /* root has read it: nobody would notice before a key is to be disabled */
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     "AIGW0314: the %s %s cannot be read by httpd's User: what changes in it will not count", file->kind->name, file->path);
    }
    if (!file->ready) {
        follow(file, pchild); /* the main process has read it long ago, perhaps */
        __atomic_store_n(&file->ready, 1, __ATOMIC_RELEASE);
    }
}

static apr_status_t on_watchdog(int state, void *data, apr_pool_t *p)
{
    aigw_followed_file_t *file = data;

    if (state == AP_WATCHDOG_STATE_RUNNING && __atomic_load_n(&file->ready, __ATOMIC_ACQUIRE)) {
        follow(file, p);
    }
    return APR_SUCCESS;
}

apr_status_t aigw_followed_file_watch(aigw_followed_file_t *file, apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;
    apr_status_t rv = get && add ? get(&watchdog, "_aigw_keys_", 0, 0, pconf) : APR_ENOTIMPL;

    if (rv == APR_SUCCESS && !file->watched) { /* virtual hosts share the main server's */
        file->watched = 1;
        rv = add(watchdog, LOOK_EVERY, file, on_watchdog);
    }
    return rv;
}
