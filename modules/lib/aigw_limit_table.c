#include "aigw_limit_table.h"

#include <string.h>

#define NONE    APR_UINT32_MAX
#define LOOK_AT 32 /* entries at the far end of the list that are asked whether they are idle */

typedef struct node_t {
    unsigned char key[AIGW_LIMIT_KEY];
    apr_uint32_t used;         /* 1: it has a key. Set last, cleared first */
    apr_uint32_t chain;        /* the next of the same bucket, or the next free one */
    apr_uint32_t newer, older; /* in the order of use */
    aigw_limit_entry_t entry;
} node_t;

struct aigw_limit_table_t {
    apr_uint32_t entries, buckets, used, free, newest, oldest;
    apr_uint64_t evicted;
    /* behind it: node_t[entries], apr_uint32_t[buckets] */
};

static node_t *nodes(const aigw_limit_table_t *table)
{
    return (node_t *)((char *)table + APR_ALIGN_DEFAULT(sizeof *table));
}

static apr_uint32_t *heads(const aigw_limit_table_t *table)
{
    return (apr_uint32_t *)(nodes(table) + table->entries);
}

/* The keys are hashes already. */
static apr_uint32_t *head_of(const aigw_limit_table_t *table, const unsigned char *key)
{
    apr_uint32_t n;

    memcpy(&n, key, sizeof n);
    return &heads(table)[n % table->buckets];
}

apr_size_t aigw_limit_table_size(apr_uint32_t entries)
{
    return APR_ALIGN_DEFAULT(sizeof(aigw_limit_table_t)) + (apr_size_t)entries * (sizeof(node_t) + sizeof(apr_uint32_t));
}

/* ------------------------------------------------------------------ the order of use */

static void unlink_use(aigw_limit_table_t *table, apr_uint32_t i)
{
    node_t *all = nodes(table), *node = &all[i];

    *(node->newer == NONE ? &table->newest : &all[node->newer].older) = node->older;
    *(node->older == NONE ? &table->oldest : &all[node->older].newer) = node->newer;
}

static void link_use(aigw_limit_table_t *table, apr_uint32_t i)
{
    node_t *all = nodes(table), *node = &all[i];

    node->newer = NONE;
    node->older = table->newest;
    *(table->newest == NONE ? &table->oldest : &all[table->newest].newer) = i;
    table->newest = i;
}

/* ------------------------------------------------------------------ the chains */

static void link_chain(aigw_limit_table_t *table, apr_uint32_t i)
{
    apr_uint32_t *head = head_of(table, nodes(table)[i].key);

    nodes(table)[i].chain = *head;
    *head = i;
}

static void unlink_chain(aigw_limit_table_t *table, apr_uint32_t i)
{
    apr_uint32_t *at = head_of(table, nodes(table)[i].key);

    while (*at != i) {
        at = &nodes(table)[*at].chain;
    }
    *at = nodes(table)[i].chain;
}

static apr_uint32_t look(const aigw_limit_table_t *table, const unsigned char *key)
{
    apr_uint32_t i = *head_of(table, key);

    while (i != NONE && memcmp(nodes(table)[i].key, key, AIGW_LIMIT_KEY) != 0) {
        i = nodes(table)[i].chain;
    }
    return i;
}

/* ------------------------------------------------------------------ making and mending */

static void empty(aigw_limit_table_t *table)
{
    memset(heads(table), 0xff, (apr_size_t)table->buckets * sizeof(apr_uint32_t));
    table->newest = table->oldest = table->free = NONE;
    table->used = 0;
}

aigw_limit_table_t *aigw_limit_table_init(void *block, apr_uint32_t entries)
{
    aigw_limit_table_t *table = block;

    memset(block, 0, aigw_limit_table_size(entries));
    table->entries = table->buckets = entries;
    aigw_limit_table_repair(table);
    return table;
}

/* What counts is in the nodes; the order of use is lost, which only matters for who goes first. */
void aigw_limit_table_repair(aigw_limit_table_t *table)
{
    apr_uint32_t i = table->entries;

    empty(table);
    while (i-- > 0) {
        node_t *node = &nodes(table)[i];

        if (node->used) {
            link_chain(table, i);
            link_use(table, i);
            table->used++;
        }
        else {
            node->chain = table->free;
            table->free = i;
        }
    }
}

/* ------------------------------------------------------------------ use */

static int is_idle(const aigw_limit_entry_t *entry, apr_time_t now)
{
    return entry->held <= 0 && now >= entry->idle_from;
}

/* Of those used least recently one that is idle: it is free then. An active one is put in front, so that the next who looks sees others. */
static int make_room(aigw_limit_table_t *table, apr_time_t now)
{
    int tries;

    for (tries = 0; tries < LOOK_AT && table->oldest != NONE; tries++) {
        const apr_uint32_t i = table->oldest;
        node_t *node = &nodes(table)[i];

        unlink_use(table, i);
        if (is_idle(&node->entry, now)) {
            node->used = 0;
            unlink_chain(table, i);
            node->chain = table->free;
            table->free = i;
            table->used--;
            table->evicted++;
            return 1;
        }
        link_use(table, i);
    }
    return 0;
}

aigw_limit_entry_t *aigw_limit_table_find(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY])
{
    const apr_uint32_t i = look(table, key);

    if (i == NONE) {
        return NULL;
    }
    unlink_use(table, i);
    link_use(table, i);
    return &nodes(table)[i].entry;
}

aigw_limit_entry_t *aigw_limit_table_get(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_time_t now)
{
    aigw_limit_entry_t *entry = aigw_limit_table_find(table, key);
    apr_uint32_t i;
    node_t *node;

    if (entry) {
        return entry;
    }
    if (table->free == NONE && !make_room(table, now)) {
        return NULL;
    }
    i = table->free;
    node = &nodes(table)[i];
    table->free = node->chain;
    memcpy(node->key, key, AIGW_LIMIT_KEY);
    memset(&node->entry, 0, sizeof node->entry);
    link_chain(table, i);
    link_use(table, i);
    table->used++;
    node->used = 1;
    return &node->entry;
}

void aigw_limit_table_count(const aigw_limit_table_t *table, apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted)
{
    *entries = table->entries;
    *used = table->used;
    *evicted = table->evicted;
}
