#include "sqlite_file.h"

#include <http_log.h>
#include <unixd.h>
#include <apr_strings.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <grp.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw);

/* What the children may not, as an exit status. */
enum { MAY, NOT_FILE, NOT_FOLDER, UNKNOWN };

/* NULL: it is in the root folder. */
static const char *folder_of(apr_pool_t *p, const char *path)
{
    const char *slash = ap_strrchr_c(path, '/');

    return slash && slash > path ? apr_pstrmemdup(p, path, (apr_size_t)(slash - path)) : NULL;
}

int aigw_sqlite_file_become_user(void)
{
    return geteuid() != 0 || (!setgroups(0, NULL) && !setgid(ap_unixd_config.group_id) && !setuid(ap_unixd_config.user_id));
}

void aigw_sqlite_file_make_folder(apr_pool_t *p, const char *path)
{
    const char *folder = folder_of(p, path);

    if (folder && !mkdir(folder, 0700) && geteuid() == 0 && lchown(folder, ap_unixd_config.user_id, ap_unixd_config.group_id) < 0) {
        rmdir(folder);
    }
}

/* ------------------------------------------------------------------ what cannot work */

/* Beside the file there will be two more. */
static int look_as_user(const char *path, const char *folder)
{
    if (!aigw_sqlite_file_become_user()) {
        return UNKNOWN;
    }
    if (access(path, R_OK | W_OK) && errno != ENOENT) {
        return NOT_FILE;
    }
    return access(folder, W_OK | X_OK) && errno != ENOENT ? NOT_FOLDER : MAY;
}

/* Only root can ask as another; whoever else calls configtest may be nobody's user. */
static int may(const char *path, const char *folder)
{
    int status = 0;
    pid_t pid;

    if (geteuid() != 0) {
        return UNKNOWN;
    }
    if ((pid = fork()) == 0) {
        _exit(look_as_user(path, folder));
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : UNKNOWN;
}

/* NULL: nothing that is certain. */
static const char *why_not(apr_pool_t *p, const char *path)
{
    const char *folder = folder_of(p, path), *above = folder ? folder_of(p, folder) : NULL;
    struct stat is;
    int may_not;

    folder = folder ? folder : "/";
    if (!stat(path, &is) && !S_ISREG(is.st_mode)) {
        return S_ISDIR(is.st_mode) ? "it is a folder: name a file in it" : "it is no file";
    }
    if (!stat(folder, &is) && !S_ISDIR(is.st_mode)) {
        return apr_psprintf(p, "%s is no folder", folder);
    }
    if (stat(folder, &is) && errno == ENOENT && stat(above ? above : "/", &is) && errno == ENOENT) {
        return apr_psprintf(p, "there is neither the folder %s, which would be made, nor the one above it: make it, for httpd's user",
                            folder);
    }
    may_not = may(path, folder);
    return may_not == NOT_FILE ? "the user that httpd's children run as may not read and write it: give it to him (chown)"
           : may_not == NOT_FOLDER
               ? apr_psprintf(p, "its folder %s must be of the user that httpd's children run as: give it to him (chown)", folder)
               : NULL;
}

/* ------------------------------------------------------------------ what should not be */

static void warn_if_open(server_rec *s, const char *path)
{
    const uid_t user = geteuid() ? geteuid() : ap_unixd_config.user_id;
    struct stat is;

    if (!stat(path, &is) && ((is.st_mode & (S_IRWXG | S_IRWXO)) || is.st_uid != user)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0521: AIGWStore: %s, which has what users asked and were answered, is of mode %03o and of user %lu: others than "
                     "httpd's children may read or change it (chmod 600, chown to the user of httpd)",
                     path, (unsigned)(is.st_mode & 0777), (unsigned long)is.st_uid);
    }
}

apr_status_t aigw_sqlite_file_check(server_rec *s, apr_pool_t *p, const char *path)
{
    const char *why = why_not(p, path);

    if (why) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0520: AIGWStore sqlite:%s cannot be: %s", path, why);
        return APR_EGENERAL;
    }
    warn_if_open(s, path);
    return APR_SUCCESS;
}
