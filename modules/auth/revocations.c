#include "revocations.h"
#include "revocations_redis.h"
#include "auth.h"
#include "auth_conf.h"
#include "aigw_shared.h"
#include "aigw_revoked.h"

#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>
#include <openssl/evp.h>

APLOG_USE_MODULE(aigw_auth);

#define RETAINED "aigw-revocations-1" /* the number goes up where what is in the memory changes its form */
#define DEFAULT  100000

/* Of the main process, for as long as it lives; children inherit it. `previous` is the table from before it had to grow: children from before the restart may still
 * put something into it, so it is looked at too, and they look at nothing else, so what is new is put there too. */
typedef struct tables_t {
    aigw_shared_t *current, *previous; /* previous may be NULL */
} tables_t;

static tables_t *tables;   /* set before there are children */
static server_rec *server; /* the main one, for the log */

static aigw_revoked_t *table_of(const aigw_shared_t *shared)
{
    return aigw_shared_data(shared);
}

static apr_status_t lock(aigw_shared_t *shared)
{
    apr_status_t rv = aigw_shared_lock(shared);

    if (rv == APR_INCOMPLETE) {
        aigw_revoked_repair(table_of(shared));
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, server,
                     "AIGW0371: a process died while it changed the table of tokens that were logged out: it is mended");
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, server, "AIGW0372: the table of tokens that were logged out cannot be locked");
    }
    return rv;
}

/* ------------------------------------------------------------------ the main process */

static apr_status_t make(aigw_shared_t **shared, apr_uint32_t capacity, apr_pool_t *process)
{
    apr_status_t rv = aigw_shared_make(shared, aigw_revoked_size(capacity), process);

    if (rv == APR_SUCCESS) {
        aigw_revoked_init(aigw_shared_data(*shared), capacity);
    }
    return rv;
}

static apr_status_t copy(aigw_shared_t *to, aigw_shared_t *from)
{
    apr_status_t rv = lock(from);

    if (rv == APR_SUCCESS) {
        rv = aigw_revoked_copy(table_of(to), table_of(from), apr_time_now());
        aigw_shared_unlock(from);
    }
    return rv;
}

/* A larger table with all that is in the one that there is; what children that are on their way out may still put into that one is found there. */
static apr_status_t grow(apr_uint32_t capacity, server_rec *s)
{
    aigw_shared_t *larger;
    apr_uint32_t before = aigw_revoked_capacity(table_of(tables->current));
    apr_status_t rv = make(&larger, capacity, s->process->pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((rv = copy(larger, tables->current)) == APR_SUCCESS && tables->previous) {
        rv = copy(larger, tables->previous);
    }
    if (rv != APR_SUCCESS) {
        aigw_shared_drop(larger);
        return rv;
    }
    if (tables->previous) {
        aigw_shared_drop(tables->previous);
    }
    tables->previous = tables->current;
    tables->current = larger;
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "AIGW0375: the table of tokens that were logged out has grown from %u to %u", before,
                 capacity);
    return APR_SUCCESS;
}

int aigw_revocations_post_config(server_rec *s, apr_pool_t *pconf)
{
    const aigw_auth_server_t *conf = ap_get_module_config(s->module_config, &aigw_auth_module);
    apr_uint32_t capacity = conf->revocations ? conf->revocations : DEFAULT;
    apr_status_t rv = APR_SUCCESS;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return 0; /* it comes again */
    }
    server = s;
    aigw_revocations_redis_post_config(s);
    tables = ap_retained_data_get(RETAINED);
    if (!tables) {
        tables = ap_retained_data_create(RETAINED, sizeof *tables);
    }
    if (!tables->current) {
        rv = make(&tables->current, capacity, s->process->pool);
    }
    else if (aigw_revoked_capacity(table_of(tables->current)) < capacity) {
        rv = grow(capacity, s);
    }
    if (rv != APR_SUCCESS) { /* at a restart what there is goes on: httpd would go down */
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "AIGW0370: no shared memory for %u tokens that were logged out (AIGWRevocations)",
                     capacity);
        return tables->current ? 0 : -1;
    }
    return 0;
}

void aigw_revocations_child_init(server_rec *s, apr_pool_t *pchild)
{
}

/* ------------------------------------------------------------------ children */

/* The two together, unmistakably: an issuer's name has no NUL. */
static int make_id(const char *issuer, const char *jti, unsigned char id[AIGW_REVOKED_ID])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, issuer, strlen(issuer) + 1) &&
             EVP_DigestUpdate(ctx, jti, strlen(jti)) && EVP_DigestFinal_ex(ctx, id, NULL);

    EVP_MD_CTX_free(ctx);
    return ok;
}

static apr_status_t add(aigw_shared_t *shared, const unsigned char *id, apr_time_t expires, apr_time_t now)
{
    apr_status_t rv = lock(shared);

    if (rv == APR_SUCCESS) {
        rv = aigw_revoked_add(table_of(shared), id, expires, now);
        aigw_shared_unlock(shared);
    }
    return rv;
}

static apr_status_t remember(const unsigned char *id, apr_time_t expires, apr_time_t now)
{
    if (tables->previous) {
        add(tables->previous, id, expires, now);
    }
    return add(tables->current, id, expires, now);
}

/* Redis first: where that fails and must not, nothing has changed here, and the client can try again with the same token. */
apr_status_t aigw_revocations_add(request_rec *r, const char *issuer, const char *jti, apr_time_t expires, apr_time_t now)
{
    unsigned char id[AIGW_REVOKED_ID];
    apr_status_t rv = make_id(issuer, jti, id) ? APR_SUCCESS : APR_ENOMEM;

    if (rv == APR_SUCCESS && aigw_revocations_redis_holds() && (rv = aigw_revocations_redis_add(r, id, expires, now)) != APR_SUCCESS) {
        return rv;
    }
    if (rv != APR_SUCCESS || (rv = remember(id, expires, now)) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                      "AIGW0373: a token could not be logged out: the table is full (AIGWRevocations), or cannot be locked");
    }
    return rv;
}

static int have(aigw_shared_t *shared, const unsigned char *id)
{
    int found = 1; /* where nobody can tell, a token is not good */

    if (lock(shared) == APR_SUCCESS) {
        found = aigw_revoked_have(table_of(shared), id);
        aigw_shared_unlock(shared);
    }
    return found;
}

static int is_empty(const aigw_shared_t *shared)
{
    return !shared || !aigw_revoked_count(table_of(shared));
}

static int is_remembered(const unsigned char *id)
{
    return have(tables->current, id) || (tables->previous && have(tables->previous, id));
}

aigw_revocation_e aigw_revocations_find(server_rec *s, apr_pool_t *p, const char *issuer, const char *jti, apr_time_t now)
{
    int none_here = is_empty(tables->current) && is_empty(tables->previous), found;
    unsigned char id[AIGW_REVOKED_ID];
    apr_time_t expires;

    if (!jti || (none_here && !aigw_revocations_redis_holds())) {
        return AIGW_REVOCATION_NONE;
    }
    if (!make_id(issuer, jti, id) || (!none_here && is_remembered(id))) {
        return AIGW_REVOCATION_FOUND;
    }
    found = aigw_revocations_redis_holds() ? aigw_revocations_redis_have(s, p, id, now, &expires) : 0;
    if (found > 0) {
        remember(id, expires, now); /* it need not be asked again; where there is no room it is */
    }
    return found > 0 ? AIGW_REVOCATION_FOUND : found < 0 ? AIGW_REVOCATION_UNKNOWN : AIGW_REVOCATION_NONE;
}
