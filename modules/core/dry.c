#include "dry.h"
#include "conf.h"

#include <util_filter.h>

static ap_filter_rec_t *dry_filter;

static apr_status_t in_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block, apr_off_t bytes)
{
    int *dry = f->ctx;
    apr_status_t rv = ap_get_brigade(f->next, bb, mode, block, bytes);

    *dry = rv != APR_SUCCESS || APR_BRIGADE_EMPTY(bb);
    return rv;
}

void aigw_dry_watch(conn_rec *c)
{
    int *dry;

    if (ap_get_module_config(c->conn_config, &aigw_module)) {
        return; /* watched already */
    }
    dry = apr_palloc(c->pool, sizeof *dry);
    *dry = 1;
    ap_set_module_config(c->conn_config, &aigw_module, dry);
    ap_add_input_filter_handle(dry_filter, dry, NULL, c);
}

int aigw_dry(const conn_rec *c)
{
    const int *dry = ap_get_module_config(c->conn_config, &aigw_module);

    return !dry || *dry;
}

void aigw_dry_register(apr_pool_t *p)
{
    dry_filter = ap_register_input_filter("AIGW_DRY", in_filter, NULL, AP_FTYPE_NETWORK - 1);
}
