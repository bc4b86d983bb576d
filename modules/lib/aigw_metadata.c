/* The client's metadata on its way back; see aigw_metadata.h. */
#include "aigw_metadata.h"

#include <string.h>

static int is_own(const char *name)
{
    return !strcmp(name, "model") || !strcmp(name, "usage") || !strcmp(name, "finish_reason") || !strcmp(name, "request_id");
}

/* The client's members as it wrote them: through a JSON library 1.0 or 1e30 would come back as something else. */
apr_status_t aigw_metadata_join(aigw_buffer_t *b, const aigw_json_scan_t *metadata, const char *own)
{
    apr_status_t rv = aigw_buffer_add(b, "{", 1);
    int i;

    for (i = 0; metadata && i < metadata->nmembers && rv == APR_SUCCESS; i++) {
        const aigw_json_member_t *m = &metadata->members[i];

        if (!is_own(m->name)) {
            rv = aigw_buffer_add(b, metadata->text + m->name_start, m->value.end - m->name_start);
            rv = rv == APR_SUCCESS ? aigw_buffer_add(b, ",", 1) : rv;
        }
    }
    return rv == APR_SUCCESS ? aigw_buffer_add_text(b, own + 1) : rv;
}
