#include "key_source.h"
#include "material.h"

#include <http_log.h>
#include <apr_strings.h>

APLOG_USE_MODULE(aigw_auth);

struct aigw_key_source_t {
    const char *name;
    aigw_jws_key_t key;
};

const char *aigw_key_source_make(apr_pool_t *p, const char *text, aigw_key_source_t **source)
{
    if (!aigw_material_is_source(text)) {
        return "where the key is: file:PATH or env:NAME";
    }
    *source = apr_pcalloc(p, sizeof **source);
    (*source)->name = apr_pstrdup(p, text);
    return NULL;
}

const char *aigw_key_source_name(const aigw_key_source_t *source)
{
    return source->name;
}

int aigw_key_source_load(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf, unsigned *algs)
{
    const char *text, *fault;
    apr_size_t len;

    fault = aigw_material_read(pconf, source->name, &text, &len);
    if (!fault) {
        fault =
            aigw_jws_is_pem(text, len) ? aigw_jws_public(pconf, text, len, &source->key) : aigw_jws_secret(pconf, text, len, &source->key);
    }
    if (fault) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "AIGW0350: %s: %s", source->name, fault);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    *algs = source->key.algs;
    return 0;
}

int aigw_key_source_post_config(aigw_key_source_t *source, server_rec *s, apr_pool_t *pconf)
{
    return 0;
}

void aigw_key_source_child_init(aigw_key_source_t *source, server_rec *s, apr_pool_t *pchild)
{
}

aigw_keys_e aigw_key_source_find(aigw_key_source_t *source, server_rec *s, const char *kid, unsigned alg, apr_pool_t *p,
                                 aigw_jws_key_t keys[AIGW_KEYS_TRIED], int *count)
{
    if (!(source->key.algs & alg)) {
        return AIGW_KEYS_NONE;
    }
    keys[0] = source->key;
    *count = 1;
    return AIGW_KEYS_FOUND;
}
