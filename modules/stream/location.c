#include "location.h"

#include <ap_expr.h>
#include <http_config.h>
#include <http_core.h>

/* The length of the section's path if it is a plain <Location> that holds r->uri, else 0. A path of "/" alone is no endpoint of its own: 0 too. */
static apr_size_t matched(const core_dir_config *section, const char *uri)
{
    apr_size_t len;

    if (!section || !section->d || section->r || section->d_is_fnmatch) {
        return 0;
    }
    len = strlen(section->d);
    while (len > 0 && section->d[len - 1] == '/') {
        len--;
    }
    return len > 0 && !strncmp(section->d, uri, len) && (uri[len] == '/' || uri[len] == '\0') ? len : 0;
}

/* What a section's SetHandler says; NULL: nothing. */
static const char *handler_of(request_rec *r, const core_dir_config *section)
{
    if (section->expr_handler) {
        const char *err = NULL, *handler = ap_expr_str_exec(r, section->expr_handler, &err);
        return err ? NULL : handler;
    }
    return section->handler;
}

static int sets_handler(request_rec *r, const core_dir_config *section)
{
    const char *handler = handler_of(r, section);

    return handler && !strcmp(handler, r->handler);
}

int aigw_location_is_endpoint(request_rec *r)
{
    const core_dir_config *merged = ap_get_core_module_config(r->per_dir_config);
    const char *handler = merged ? handler_of(r, merged) : NULL;

    return handler && !strncmp(handler, "aigw-", 5);
}

/* httpd tells a handler what it is mapped by nowhere: r->path_info depends on which folders happen to exist below DocumentRoot, and the merged configuration
 * has the path of whichever section came last. So the sections are asked, as ap_location_walk() does. */
const char *aigw_location_tail(request_rec *r)
{
    const core_server_config *server = ap_get_core_module_config(r->server->module_config);
    ap_conf_vector_t *const *sections = (ap_conf_vector_t *const *)server->sec_url->elts;
    apr_size_t best = 0;
    int i;

    for (i = 0; i < server->sec_url->nelts; i++) {
        const core_dir_config *section = ap_get_core_module_config(sections[i]);
        apr_size_t len = matched(section, r->uri);

        if (len > best && sets_handler(r, section)) {
            best = len;
        }
    }
    return best ? r->uri + best : NULL;
}
