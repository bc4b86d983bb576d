#include "section.h"

#include <http_core.h>
#include <http_request.h>
#include <apr_strings.h>
#include <apr_tables.h>

ap_conf_vector_t *aigw_section_of(server_rec *s, const char *path, apr_pool_t *p)
{
    core_request_config *core;
    request_rec *r;

    if (!path) {
        return s->lookup_defaults;
    }
    /* what ap_location_walk() looks at: create_request hooks would want a connection that there is not */
    r = apr_pcalloc(p, sizeof *r);
    core = apr_pcalloc(p, sizeof *core);
    core->notes = apr_pcalloc(p, AP_NUM_STD_NOTES * sizeof *core->notes);
    r->pool = p;
    r->server = s;
    r->subprocess_env = apr_table_make(p, 1); /* for what <LocationMatch> captures */
    r->uri = r->unparsed_uri = apr_pstrdup(p, path);
    r->per_dir_config = s->lookup_defaults;
    r->request_config = ap_create_request_config(p);
    ap_set_core_module_config(r->request_config, core);
    return ap_location_walk(r) == OK ? r->per_dir_config : s->lookup_defaults;
}
