#include "aigw_revoked.h"

#include <string.h>

typedef struct entry_t {
    unsigned char id[AIGW_REVOKED_ID];
    apr_time_t expires; /* 0: nobody's. Written last, so that an entry is whole or is none */
    apr_uint32_t next;  /* of its chain, or of those that are free: index + 1; 0: the last one */
    apr_uint32_t padding;
} entry_t;

struct aigw_revoked_t {
    apr_uint32_t capacity;
    apr_uint32_t used;  /* entries[0, used) have been somebody's */
    apr_uint32_t free;  /* of these, the first one that is free: index + 1 */
    apr_uint32_t count; /* of these, the others */
    apr_uint32_t mask;  /* heads - 1 */
    apr_uint32_t padding;
    apr_time_t earliest; /* nothing here expires before */
    /* entry_t entries[capacity]; apr_uint32_t heads[mask + 1] */
};

static apr_uint32_t heads_for(apr_uint32_t capacity)
{
    apr_uint32_t n = 16;

    while (n < capacity) {
        n *= 2;
    }
    return n;
}

static entry_t *entries(const aigw_revoked_t *table)
{
    return (entry_t *)(table + 1);
}

static apr_uint32_t *heads(const aigw_revoked_t *table)
{
    return (apr_uint32_t *)(entries(table) + table->capacity);
}

apr_size_t aigw_revoked_size(apr_uint32_t capacity)
{
    return sizeof(aigw_revoked_t) + (apr_size_t)capacity * sizeof(entry_t) + (apr_size_t)heads_for(capacity) * sizeof(apr_uint32_t);
}

aigw_revoked_t *aigw_revoked_init(void *block, apr_uint32_t capacity)
{
    aigw_revoked_t *table = block;

    table->capacity = capacity;
    table->mask = heads_for(capacity) - 1;
    return table;
}

apr_uint32_t aigw_revoked_capacity(const aigw_revoked_t *table)
{
    return table->capacity;
}

apr_uint32_t aigw_revoked_count(const aigw_revoked_t *table)
{
    return __atomic_load_n(&table->count, __ATOMIC_ACQUIRE);
}

/* A hash's bytes are as good as any. */
static apr_uint32_t *head_of(const aigw_revoked_t *table, const unsigned char *id)
{
    apr_uint32_t n;

    memcpy(&n, id, sizeof n);
    return &heads(table)[n & table->mask];
}

static entry_t *find(const aigw_revoked_t *table, const unsigned char *id)
{
    apr_uint32_t i;

    for (i = *head_of(table, id); i; i = entries(table)[i - 1].next) {
        entry_t *entry = &entries(table)[i - 1];

        if (!memcmp(entry->id, id, AIGW_REVOKED_ID)) {
            return entry;
        }
    }
    return NULL;
}

int aigw_revoked_have(const aigw_revoked_t *table, const unsigned char id[AIGW_REVOKED_ID])
{
    return find(table, id) != NULL;
}

/* All chains anew, from the entries alone; what has expired at now is free from then on. */
static void rebuild(aigw_revoked_t *table, apr_time_t now)
{
    apr_uint32_t i, count = 0;
    apr_time_t earliest = APR_INT64_MAX;

    memset(heads(table), 0, ((apr_size_t)table->mask + 1) * sizeof(apr_uint32_t));
    table->free = 0;
    for (i = 0; i < table->used; i++) {
        entry_t *entry = &entries(table)[i];
        apr_uint32_t *chain = &table->free;

        if (entry->expires > now) {
            chain = head_of(table, entry->id);
            count++;
            if (entry->expires < earliest) {
                earliest = entry->expires;
            }
        }
        else {
            entry->expires = 0;
        }
        entry->next = *chain;
        *chain = i + 1;
    }
    table->earliest = earliest;
    __atomic_store_n(&table->count, count, __ATOMIC_RELEASE);
}

void aigw_revoked_repair(aigw_revoked_t *table)
{
    if (table->used > table->capacity) {
        table->used = table->capacity;
    }
    rebuild(table, 0);
}

/* One that is nobody's; NULL: there is none. */
static entry_t *take_free(aigw_revoked_t *table)
{
    entry_t *entry;

    if (table->free) {
        entry = &entries(table)[table->free - 1];
        table->free = entry->next;
        return entry;
    }
    return table->used < table->capacity ? &entries(table)[table->used++] : NULL;
}

apr_status_t aigw_revoked_add(aigw_revoked_t *table, const unsigned char id[AIGW_REVOKED_ID], apr_time_t expires, apr_time_t now)
{
    entry_t *entry;
    apr_uint32_t *head;

    if (expires <= now) {
        return APR_SUCCESS;
    }
    if ((entry = find(table, id))) {
        if (entry->expires < expires) {
            entry->expires = expires;
        }
        return APR_SUCCESS;
    }
    entry = take_free(table);
    if (!entry && table->earliest <= now) {
        rebuild(table, now);
        entry = take_free(table);
    }
    if (!entry) {
        return APR_ENOSPC;
    }
    __atomic_store_n(&table->count, table->count + 1, __ATOMIC_RELEASE);
    memcpy(entry->id, id, AIGW_REVOKED_ID);
    __atomic_store_n(&entry->expires, expires, __ATOMIC_RELEASE);
    if (table->count == 1 || expires < table->earliest) {
        table->earliest = expires;
    }
    head = head_of(table, id);
    entry->next = *head;
    *head = (apr_uint32_t)(entry - entries(table)) + 1;
    return APR_SUCCESS;
}

apr_status_t aigw_revoked_copy(aigw_revoked_t *to, const aigw_revoked_t *from, apr_time_t now)
{
    apr_status_t rv = APR_SUCCESS;
    apr_uint32_t i;

    for (i = 0; i < from->used && rv == APR_SUCCESS; i++) {
        const entry_t *entry = &entries(from)[i];

        if (entry->expires > now) {
            rv = aigw_revoked_add(to, entry->id, entry->expires, now);
        }
    }
    return rv;
}
