#include "aigw_claims_cache.h"

#include <apr_thread_mutex.h>

#include <string.h>

#define WAYS    8
#define DIGEST  32
#define STRIPES 16

typedef struct entry_t {
    unsigned char digest[DIGEST];
    json_t *claims; /* NULL: free */
    const void *beside;
    apr_time_t until, used;
} entry_t;

struct aigw_claims_cache_t {
    entry_t *entries; /* WAYS a set */
    apr_uint32_t sets;
    apr_thread_mutex_t *mutexes[STRIPES]; /* of the sets whose number has that remainder */
};

static apr_status_t drop_all(void *baton)
{
    aigw_claims_cache_t *cache = baton;
    apr_uint32_t i;

    for (i = 0; i < cache->sets * WAYS; i++) {
        json_decref(cache->entries[i].claims);
    }
    return APR_SUCCESS;
}

aigw_claims_cache_t *aigw_claims_cache_make(apr_pool_t *p, int entries)
{
    aigw_claims_cache_t *cache = apr_pcalloc(p, sizeof *cache);
    int i;

    cache->sets = ((apr_uint32_t)entries + WAYS - 1) / WAYS;
    cache->entries = apr_pcalloc(p, (apr_size_t)cache->sets * WAYS * sizeof *cache->entries);
    for (i = 0; i < STRIPES; i++) {
        if (apr_thread_mutex_create(&cache->mutexes[i], APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS) {
            return NULL;
        }
    }
    apr_pool_cleanup_register(p, cache, drop_all, apr_pool_cleanup_null);
    return cache;
}

/* SHA-256 spreads by itself. */
static apr_uint32_t set_of(const aigw_claims_cache_t *cache, const unsigned char *digest)
{
    return (((apr_uint32_t)digest[0] << 24) | ((apr_uint32_t)digest[1] << 16) | ((apr_uint32_t)digest[2] << 8) | digest[3]) % cache->sets;
}

static void release(entry_t *entry)
{
    json_decref(entry->claims);
    memset(entry, 0, sizeof *entry);
}

static entry_t *look(entry_t *set, const unsigned char *digest)
{
    int i;

    for (i = 0; i < WAYS; i++) {
        if (set[i].claims && !memcmp(set[i].digest, digest, DIGEST)) {
            return &set[i];
        }
    }
    return NULL;
}

/* A free one, one whose time is over, or the one that was used longest ago. */
static entry_t *make_room(entry_t *set, apr_time_t now)
{
    entry_t *oldest = set;
    int i;

    for (i = 0; i < WAYS; i++) {
        if (!set[i].claims || now >= set[i].until) {
            return &set[i];
        }
        if (set[i].used < oldest->used) {
            oldest = &set[i];
        }
    }
    return oldest;
}

json_t *aigw_claims_cache_find(aigw_claims_cache_t *cache, const unsigned char *digest, apr_time_t now, const void **beside)
{
    const apr_uint32_t n = set_of(cache, digest);
    entry_t *entry;
    json_t *claims = NULL;

    apr_thread_mutex_lock(cache->mutexes[n % STRIPES]);
    entry = look(cache->entries + (apr_size_t)n * WAYS, digest);
    if (entry && now >= entry->until) {
        release(entry);
    }
    else if (entry) {
        entry->used = now;
        claims = json_incref(entry->claims);
        *beside = entry->beside;
    }
    apr_thread_mutex_unlock(cache->mutexes[n % STRIPES]);
    return claims;
}

void aigw_claims_cache_add(aigw_claims_cache_t *cache, const unsigned char *digest, apr_time_t now, apr_time_t until, json_t *claims,
                           const void *beside)
{
    const apr_uint32_t n = set_of(cache, digest);
    entry_t *set = cache->entries + (apr_size_t)n * WAYS, *entry;

    if (now >= until) {
        return;
    }
    apr_thread_mutex_lock(cache->mutexes[n % STRIPES]);
    entry = look(set, digest);
    if (!entry) {
        entry = make_room(set, now);
    }
    release(entry);
    memcpy(entry->digest, digest, DIGEST);
    entry->claims = json_incref(claims);
    entry->beside = beside;
    entry->until = until;
    entry->used = now;
    apr_thread_mutex_unlock(cache->mutexes[n % STRIPES]);
}
