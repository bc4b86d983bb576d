#include "secret.h"

#include <httpd.h>
#include <http_config.h>
#include <apr_env.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#define SECRET_MAX   8192
#define EXEC_TIMEOUT apr_time_from_sec(10)

const char *aigw_secret_source_fault(apr_pool_t *p, const char *what, const char *source)
{
    if (!strncmp(source, "env:", 4) || !strncmp(source, "file:", 5) || !strncmp(source, "exec:", 5)) {
        if (ap_strchr_c(source, ':')[1]) {
            return NULL;
        }
    }
    /* not repeated in the message: it may be the secret itself */
    return apr_psprintf(p, "%s: a secret does not stand in the configuration: write env:NAME, file:/path or exec:/path/to/command", what);
}

/* What a file or a pipe holds, at most SECRET_MAX bytes. */
static apr_status_t read_all(apr_file_t *f, char *buf, apr_size_t *len)
{
    apr_status_t rv = apr_file_read_full(f, buf, SECRET_MAX + 1, len);

    return APR_STATUS_IS_EOF(rv) ? APR_SUCCESS : rv != APR_SUCCESS ? rv : APR_ENOSPC;
}

static apr_status_t read_file(apr_pool_t *p, const char *path, char *buf, apr_size_t *len)
{
    apr_file_t *f;
    apr_status_t rv = apr_file_open(&f, ap_server_root_relative(p, path), APR_FOPEN_READ, 0, p);

    if (rv == APR_SUCCESS) {
        rv = read_all(f, buf, len);
        apr_file_close(f);
    }
    return rv;
}

static apr_status_t read_exec(apr_pool_t *p, const char *command, char *buf, apr_size_t *len)
{
    apr_procattr_t *attr;
    apr_proc_t proc;
    char **argv;
    apr_exit_why_e why;
    int code;
    apr_status_t rv;

    if ((rv = apr_tokenize_to_argv(command, &argv, p)) != APR_SUCCESS || !argv[0] || (rv = apr_procattr_create(&attr, p)) != APR_SUCCESS ||
        (rv = apr_procattr_io_set(attr, APR_NO_PIPE, APR_FULL_BLOCK, APR_NO_PIPE)) != APR_SUCCESS ||
        (rv = apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV)) != APR_SUCCESS ||
        (rv = apr_proc_create(&proc, argv[0], (const char *const *)argv, NULL, attr, p)) != APR_SUCCESS) {
        return rv != APR_SUCCESS ? rv : APR_EINVAL;
    }
    apr_pool_note_subprocess(p, &proc, APR_KILL_AFTER_TIMEOUT);
    apr_file_pipe_timeout_set(proc.out, EXEC_TIMEOUT);
    rv = read_all(proc.out, buf, len);
    apr_file_close(proc.out);
    if (rv == APR_SUCCESS && (apr_proc_wait(&proc, &code, &why, APR_WAIT) != APR_CHILD_DONE || !APR_PROC_CHECK_EXIT(why) || code)) {
        rv = APR_EGENERAL;
    }
    return rv;
}

const char *aigw_secret_read(apr_pool_t *p, apr_pool_t *ptemp, const char *source, const char **why)
{
    char *buf = apr_palloc(ptemp, SECRET_MAX + 2), msg[120], *value;
    apr_size_t len = 0;
    apr_status_t rv;

    if (!strncmp(source, "env:", 4)) {
        rv = apr_env_get(&value, source + 4, ptemp);
        if (rv == APR_SUCCESS) {
            len = strlen(value);
            rv = len > SECRET_MAX ? APR_ENOSPC : APR_SUCCESS;
            apr_cpystrn(buf, value, SECRET_MAX + 2);
        }
        else {
            *why = "this variable is not set where httpd is started (Debian: export it in /etc/apache2/envvars)";
            return NULL;
        }
    }
    else {
        rv = !strncmp(source, "file:", 5) ? read_file(ptemp, source + 5, buf, &len) : read_exec(ptemp, source + 5, buf, &len);
    }
    if (rv == APR_ENOSPC) {
        *why = "it is longer than 8 KiB";
        return NULL;
    }
    if (rv != APR_SUCCESS) {
        *why = rv == APR_EGENERAL ? "the command failed" : apr_pstrdup(ptemp, apr_strerror(rv, msg, sizeof msg));
        return NULL;
    }
    while (len && (buf[len - 1] == '\n' || buf[len - 1] == '\r')) {
        len--;
    }
    buf[len] = '\0';
    if (!len || strlen(buf) != len || *ap_scan_http_field_content(buf)) {
        *why = len ? "it holds control characters or several lines" : "it is empty";
        return NULL;
    }
    return apr_pstrmemdup(p, buf, len);
}
