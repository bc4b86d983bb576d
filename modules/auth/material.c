#include "material.h"
#include "auth.h"
#include "aigw_jws.h"

#include <http_config.h>
#include <http_log.h>
#include <apr_env.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

int aigw_material_is_source(const char *source)
{
    return (!strncmp(source, "file:", 5) && source[5]) || (!strncmp(source, "env:", 4) && source[4]);
}

static const char *read_file(apr_pool_t *p, const char *name, char *buf, apr_size_t *len)
{
    const char *path = ap_server_root_relative(p, name);
    apr_file_t *f;
    char why[120];
    apr_status_t rv = path ? apr_file_open(&f, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, p) : APR_EBADPATH;

    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(f, buf, AIGW_MATERIAL_MAX + 1, len);
        rv = rv == APR_EOF ? APR_SUCCESS : rv == APR_SUCCESS ? APR_ENOSPC : rv;
        apr_file_close(f);
    }
    return rv == APR_SUCCESS  ? NULL
           : rv == APR_ENOSPC ? "the file is longer than 64 KiB"
                              : apr_psprintf(p, "%s: %s", path ? path : name, apr_strerror(rv, why, sizeof why));
}

static const char *read_env(apr_pool_t *p, const char *name, char *buf, apr_size_t *len)
{
    char *value;

    if (apr_env_get(&value, name, p) != APR_SUCCESS) {
        return "this variable is not set where httpd is started (Debian: export it in /etc/apache2/envvars)";
    }
    *len = strlen(value);
    if (*len > AIGW_MATERIAL_MAX) {
        return "it is longer than 64 KiB";
    }
    memcpy(buf, value, *len);
    return NULL;
}

const char *aigw_material_read(apr_pool_t *p, const char *source, const char **text, apr_size_t *len)
{
    char *buf = apr_palloc(p, AIGW_MATERIAL_MAX + 2);
    const char *fault = !strncmp(source, "env:", 4) ? read_env(p, source + 4, buf, len) : read_file(p, source + 5, buf, len);

    if (fault) {
        return fault;
    }
    /* a secret that an editor or echo has written; what is binary has no lines */
    if (!aigw_jws_is_pem(buf, *len) && !memchr(buf, '\0', *len)) {
        while (*len && (buf[*len - 1] == '\n' || buf[*len - 1] == '\r')) {
            --*len;
        }
    }
    buf[*len] = '\0';
    *text = buf;
    return *len ? NULL : "it is empty";
}

/* Whoever can read a secret can make tokens. */
void aigw_material_warn_if_open(const char *path, const server_rec *s, apr_pool_t *p)
{
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, path, APR_FINFO_PROT, p);

    if ((rv == APR_SUCCESS || rv == APR_INCOMPLETE) && (info.protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE))) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            "AIGW0358: everybody on this machine may read or write %s, which has a secret: whoever knows it makes tokens (chmod o-rw)",
            path);
    }
}

const char *aigw_material_path(apr_pool_t *p, const char *source)
{
    return !strncmp(source, "file:", 5) ? ap_server_root_relative(p, source + 5) : NULL;
}
