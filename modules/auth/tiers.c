#include "tiers.h"
#include "auth.h"
#include "auth_conf.h"
#include "aigw_tier_file.h"

#include <http_log.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

APLOG_USE_MODULE(aigw_auth);

#define LOOK_EVERY apr_time_from_sec(1)
#define FILE_MAX   (16 * 1024 * 1024) /* bytes */

/* What tells one state of a file from the next. */
typedef struct stamp_t {
    apr_time_t mtime;
    apr_off_t size;
    apr_ino_t inode;
} stamp_t;

struct aigw_tiers_t {
    const char *path;
    aigw_tier_file_t *file; /* under mutex in a child, as all that follows. NULL: not read yet */
    apr_pool_t *pool;       /* of the file; a pool of its own */
    stamp_t stamp;          /* of what was read last, or refused */
    apr_time_t look;        /* not before, by aigw_clock_now() */
    apr_thread_mutex_t *mutex;
};

const char *aigw_tiers_set(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_auth_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_auth_module);
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "AIGWTierFile: \"%s\" is no path", arg);
    }
    if (conf->tiers) {
        return apr_psprintf(cmd->pool, "AIGWTierFile: there is one already here, %s. Put all tiers in one file", conf->tiers->path);
    }
    conf->tiers = apr_pcalloc(cmd->pool, sizeof *conf->tiers);
    conf->tiers->path = path;
    return NULL;
}

/* ------------------------------------------------------------------ reading */

static apr_status_t stat_it(const char *path, stamp_t *stamp, apr_pool_t *p)
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

static apr_status_t slurp(const char *path, apr_off_t size, char **text, apr_size_t *len, apr_pool_t *p)
{
    apr_file_t *f;
    apr_status_t rv = apr_file_open(&f, path, APR_READ | APR_BINARY, 0, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *len = 0;
    if (size > FILE_MAX) {
        rv = APR_ENOSPC;
    }
    else if (size > 0) {
        *text = apr_palloc(p, (apr_size_t)size);
        rv = apr_file_read_full(f, *text, (apr_size_t)size, len);
    }
    apr_file_close(f);
    return rv == APR_EOF ? APR_SUCCESS : rv; /* it has become shorter: that is a change, and will be seen */
}

/* NULL: it has been logged. The file's pool is made, and is the caller's. */
static aigw_tier_file_t *read_file(const aigw_tiers_t *tiers, const stamp_t *stamp, server_rec *s, apr_pool_t **pool)
{
    aigw_tier_file_t *file = NULL;
    aigw_tier_fault_t fault = {0};
    apr_pool_t *temporary;
    char *text = NULL;
    apr_size_t len = 0;
    apr_status_t rv;

    apr_pool_create_unmanaged_ex(pool, NULL, NULL);
    apr_pool_create_unmanaged_ex(&temporary, NULL, NULL);
    rv = slurp(tiers->path, stamp->size, &text, &len, temporary);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, "AIGW0376: the tier file %s cannot be read", tiers->path);
    }
    else if (aigw_tier_file_read(&file, text, len, *pool, &fault) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "AIGW0377: %s, line %d: %s", tiers->path, fault.line, fault.message);
    }
    apr_pool_destroy(temporary);
    if (!file) {
        apr_pool_destroy(*pool);
    }
    return file;
}

static apr_status_t forget(void *data)
{
    aigw_tiers_t *tiers = data;

    if (tiers->file) {
        tiers->file = NULL;
        apr_pool_destroy(tiers->pool);
    }
    return APR_SUCCESS;
}

int aigw_tiers_load(aigw_tiers_t *tiers, server_rec *s, apr_pool_t *pconf)
{
    if (!tiers->file) {
        stat_it(tiers->path, &tiers->stamp, pconf);
        tiers->file = read_file(tiers, &tiers->stamp, s, &tiers->pool);
        if (tiers->file) {
            apr_pool_cleanup_register(pconf, tiers, forget, apr_pool_cleanup_null);
        }
    }
    return tiers->file ? 0 : -1;
}

/* ------------------------------------------------------------------ in a child */

void aigw_tiers_child_init(aigw_tiers_t *tiers, server_rec *s, apr_pool_t *pchild)
{
    if (!tiers->mutex && apr_thread_mutex_create(&tiers->mutex, APR_THREAD_MUTEX_DEFAULT, pchild) != APR_SUCCESS) {
        tiers->mutex = NULL; /* then what was read at start holds */
    }
}

static void follow(aigw_tiers_t *tiers, request_rec *r)
{
    aigw_tier_file_t *file;
    apr_pool_t *pool;
    stamp_t stamp;

    stat_it(tiers->path, &stamp, r->pool); /* where there is no file, that is a state too */
    if (same(&stamp, &tiers->stamp)) {
        return;
    }
    tiers->stamp = stamp;
    if ((file = read_file(tiers, &stamp, r->server, &pool))) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, r->server, "AIGW0378: %s has changed: %" APR_SIZE_T_FMT " users", tiers->path,
                     aigw_tier_file_count(file));
        apr_pool_destroy(tiers->pool);
        tiers->pool = pool;
        tiers->file = file;
    }
}

const char *aigw_tiers_find(request_rec *r, const char *user)
{
    const aigw_auth_server_t *conf = ap_get_module_config(r->server->module_config, &aigw_auth_module);
    aigw_tiers_t *tiers = conf->tiers;
    const char *tier;

    if (!tiers || !tiers->file || !user) {
        return NULL;
    }
    if (!tiers->mutex) {
        return aigw_tier_file_find(tiers->file, user);
    }
    apr_thread_mutex_lock(tiers->mutex);
    if (aigw_clock_now() >= tiers->look) {
        tiers->look = aigw_clock_now() + LOOK_EVERY;
        follow(tiers, r);
    }
    tier = apr_pstrdup(r->pool, aigw_tier_file_find(tiers->file, user));
    apr_thread_mutex_unlock(tiers->mutex);
    return tier;
}
