#include "aigw_limit_table.h"

#include <apr_siphash.h>

#include <stddef.h>
#include <string.h>

#define NONE    0  /* nodes are numbered from 1, so that zeros are an empty table */
#define LOOK_AT 32 /* entries that the hand passes at most */
#define LINE    64 /* bytes of a cache line */

/* A process may be killed behind any instruction; what it had written by then, others see. So the compiler alone must keep the order. */
#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* Three lines. */
typedef struct node_t {
    unsigned char key[AIGW_LIMIT_KEY];
    apr_uint32_t used;  /* 1: it has a key. Set last, cleared first */
    apr_uint32_t chain; /* the next of the same bucket, or the next free one */
    apr_uint32_t seen;  /* 1: it was used since the hand was here */
    apr_uint32_t none;
    aigw_limit_entry_t entry;
} node_t;

struct aigw_limit_table_t {
    apr_uint32_t entries, buckets;
    apr_uint32_t fresh;      /* nodes behind this one were never used */
    apr_uint32_t used, free; /* what repair() finds out again */
    apr_uint32_t hand;       /* the node where it was last; any number will do */
    apr_uint64_t evicted;
    unsigned char secret[AIGW_LIMIT_SECRET];
    /* behind it: node_t[entries + AIGW_LIMIT_SPARE], apr_uint32_t[buckets] */
};

/* One behind each, as they are numbered from 1. */
static node_t *nodes(const aigw_limit_table_t *table)
{
    return (node_t *)((char *)table + APR_ALIGN(sizeof *table, LINE)) - 1;
}

static apr_uint32_t *heads(const aigw_limit_table_t *table)
{
    return (apr_uint32_t *)(nodes(table) + 1 + table->entries + AIGW_LIMIT_SPARE);
}

apr_uint64_t aigw_limit_table_hash(const unsigned char key[AIGW_LIMIT_KEY], const unsigned char secret[AIGW_LIMIT_SECRET])
{
    return apr_siphash24(key, AIGW_LIMIT_KEY, secret);
}

static apr_uint32_t *head_at(const aigw_limit_table_t *table, apr_uint64_t hash)
{
    return &heads(table)[(hash >> 32) * table->buckets >> 32];
}

/* Of a node that has a key. */
static apr_uint32_t *head_of(const aigw_limit_table_t *table, const node_t *node)
{
    return head_at(table, aigw_limit_table_hash(node->key, table->secret));
}

apr_size_t aigw_limit_table_size(apr_uint32_t entries)
{
    const apr_size_t all = (apr_size_t)entries + AIGW_LIMIT_SPARE;

    return APR_ALIGN(sizeof(aigw_limit_table_t), LINE) + all * (sizeof(node_t) + sizeof(apr_uint32_t));
}

/* ------------------------------------------------------------------ the chains */

static void link_chain(aigw_limit_table_t *table, apr_uint32_t i, apr_uint32_t *head)
{
    nodes(table)[i].chain = *head;
    *head = i;
}

static void unlink_chain(aigw_limit_table_t *table, apr_uint32_t i)
{
    apr_uint32_t *at = head_of(table, &nodes(table)[i]);

    while (*at != i) {
        at = &nodes(table)[*at].chain;
    }
    *at = nodes(table)[i].chain;
}

/* ------------------------------------------------------------------ free ones */

static void put_free(aigw_limit_table_t *table, apr_uint32_t i)
{
    nodes(table)[i].chain = table->free;
    table->free = i;
}

/* There is one. */
static apr_uint32_t take_free(aigw_limit_table_t *table)
{
    const apr_uint32_t i = table->free;

    if (i == NONE) {
        return ++table->fresh;
    }
    table->free = nodes(table)[i].chain;
    return i;
}

/* ------------------------------------------------------------------ making and mending */

aigw_limit_table_t *aigw_limit_table_init(void *block, apr_uint32_t entries, const unsigned char secret[AIGW_LIMIT_SECRET])
{
    aigw_limit_table_t *table = block;

    table->entries = entries;
    table->buckets = entries + AIGW_LIMIT_SPARE;
    memcpy(table->secret, secret, AIGW_LIMIT_SECRET);
    return table;
}

/* What counts is in the nodes. */
void aigw_limit_table_repair(aigw_limit_table_t *table)
{
    apr_uint32_t i;

    memset(heads(table), 0, (apr_size_t)table->buckets * sizeof(apr_uint32_t));
    table->free = NONE;
    table->used = 0;
    for (i = table->fresh; i > 0; i--) {
        if (nodes(table)[i].used) {
            link_chain(table, i, head_of(table, &nodes(table)[i]));
            table->used++;
        }
        else {
            put_free(table, i);
        }
    }
}

/* ------------------------------------------------------------------ use */

static int is_idle(const aigw_limit_entry_t *entry, apr_time_t now)
{
    return entry->held <= 0 && now >= entry->idle_from;
}

static void evict(aigw_limit_table_t *table, apr_uint32_t i)
{
    nodes(table)[i].used = 0;
    IN_ORDER();
    unlink_chain(table, i);
    put_free(table, i);
    table->used--;
    table->evicted++;
}

/* 0: none of those that the hand passes is idle. */
static int make_room(aigw_limit_table_t *table, apr_time_t now)
{
    apr_uint32_t seen = NONE;
    int tries;

    for (tries = 0; tries < LOOK_AT && table->fresh; tries++) {
        const apr_uint32_t i = table->hand = table->hand < table->fresh ? table->hand + 1 : 1;
        node_t *node = &nodes(table)[i];

        if (node->used && is_idle(&node->entry, now)) {
            if (!node->seen) {
                evict(table, i);
                return 1;
            }
            seen = seen ? seen : i;
        }
        node->seen = 0;
    }
    if (seen) {
        evict(table, seen);
    }
    return seen != NONE;
}

static aigw_limit_entry_t *make_entry(aigw_limit_table_t *table, const unsigned char *key, apr_uint64_t hash)
{
    const apr_uint32_t i = take_free(table);
    node_t *node = &nodes(table)[i];

    memcpy(node->key, key, AIGW_LIMIT_KEY);
    memset(&node->entry, 0, sizeof node->entry);
    node->seen = 0;
    link_chain(table, i, head_at(table, hash));
    table->used++;
    IN_ORDER();
    node->used = 1;
    IN_ORDER();
    return &node->entry;
}

void aigw_limit_table_prefetch_head(const aigw_limit_table_t *table, apr_uint64_t hash)
{
    __builtin_prefetch(head_at(table, hash));
}

void aigw_limit_table_prefetch_entry(const aigw_limit_table_t *table, apr_uint64_t hash)
{
    const char *node = (const char *)&nodes(table)[*head_at(table, hash)];

    __builtin_prefetch(node, 1);
    __builtin_prefetch(node + LINE, 1);
    __builtin_prefetch(node + 2 * LINE, 1);
}

aigw_limit_entry_t *aigw_limit_table_find(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_uint64_t hash)
{
    apr_uint32_t i = *head_at(table, hash);

    while (i != NONE && memcmp(nodes(table)[i].key, key, AIGW_LIMIT_KEY) != 0) {
        i = nodes(table)[i].chain;
    }
    if (i == NONE) {
        return NULL;
    }
    nodes(table)[i].seen = 1;
    return &nodes(table)[i].entry;
}

/* more: how many beyond the entries there may be. */
static aigw_limit_entry_t *get(aigw_limit_table_t *table, const unsigned char *key, apr_uint64_t hash, apr_time_t now, apr_uint32_t more)
{
    aigw_limit_entry_t *entry = aigw_limit_table_find(table, key, hash);

    if (entry) {
        return entry;
    }
    if (table->used >= table->entries) {
        if (make_room(table, now)) {
            if (table->used >= table->entries) { /* spare ones were used: one of them is spare again */
                make_room(table, now);
            }
        }
        else if (table->used >= table->entries + more) {
            return NULL;
        }
    }
    return make_entry(table, key, hash);
}

aigw_limit_entry_t *aigw_limit_table_get(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_uint64_t hash,
                                         apr_time_t now)
{
    return get(table, key, hash, now, 0);
}

aigw_limit_entry_t *aigw_limit_table_get_spare(aigw_limit_table_t *table, const unsigned char key[AIGW_LIMIT_KEY], apr_uint64_t hash,
                                               apr_time_t now)
{
    return get(table, key, hash, now, AIGW_LIMIT_SPARE);
}

apr_uint32_t aigw_limit_table_place(const aigw_limit_table_t *table, const aigw_limit_entry_t *entry)
{
    return (apr_uint32_t)((const node_t *)((const char *)entry - offsetof(node_t, entry)) - nodes(table));
}

aigw_limit_entry_t *aigw_limit_table_at(const aigw_limit_table_t *table, apr_uint32_t place)
{
    return &nodes(table)[place].entry;
}

void aigw_limit_table_count(const aigw_limit_table_t *table, apr_uint32_t *entries, apr_uint32_t *used, apr_uint64_t *evicted)
{
    *entries = table->entries;
    *used = table->used;
    *evicted = table->evicted;
}
