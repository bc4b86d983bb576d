#include "aigw_throttle.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

/* `until`: when a bucket will be full of tries again, and the entry nobody's. Each half of an entry is written in one step, and both orders make sense. */
typedef struct entry_t {
    apr_uint64_t key;
    apr_time_t until;
} entry_t;

struct aigw_throttle_t {
    apr_uint64_t mask; /* sets - 1 */
    /* entry_t entries[sets][AIGW_THROTTLE_WAYS] */
};

static apr_uint64_t sets_for(apr_uint32_t n)
{
    apr_uint64_t sets = 1;

    while (sets * AIGW_THROTTLE_WAYS < n) {
        sets *= 2;
    }
    return sets;
}

apr_size_t aigw_throttle_size(apr_uint32_t n)
{
    return sizeof(aigw_throttle_t) + sets_for(n) * AIGW_THROTTLE_WAYS * sizeof(entry_t);
}

aigw_throttle_t *aigw_throttle_init(void *block, apr_uint32_t n)
{
    aigw_throttle_t *table = block;

    table->mask = sets_for(n) - 1;
    return table;
}

static entry_t *set_of(const aigw_throttle_t *table, apr_uint64_t key)
{
    return (entry_t *)(table + 1) + (key & table->mask) * AIGW_THROTTLE_WAYS;
}

static entry_t *find(const aigw_throttle_t *table, apr_uint64_t key)
{
    entry_t *set = set_of(table, key);
    int i;

    for (i = 0; i < AIGW_THROTTLE_WAYS; i++) {
        if (set[i].until && set[i].key == key) {
            return &set[i];
        }
    }
    return NULL;
}

apr_time_t aigw_throttle_until(const aigw_throttle_t *table, apr_uint64_t key, apr_time_t now)
{
    const entry_t *entry = find(table, key);

    return entry && entry->until > now ? entry->until : 0;
}

void aigw_throttle_remember(aigw_throttle_t *table, apr_uint64_t key, apr_time_t until, apr_time_t now)
{
    entry_t *entry = find(table, key), *set = set_of(table, key);
    int i;

    if (!entry) {
        for (entry = set, i = 1; i < AIGW_THROTTLE_WAYS; i++) {
            if (set[i].until < entry->until) {
                entry = &set[i];
            }
        }
    }
    entry->until = until > now ? until : 0;
    entry->key = key;
}

/* ------------------------------------------------------------------ limits */

/* What one try costs: no more than a whole share, so that all of them fit into the period. */
static apr_interval_time_t cost(const aigw_throttle_limit_t *limit)
{
    return limit->period / limit->tries;
}

static apr_time_t full_at(const aigw_throttle_t *table, apr_uint64_t key, apr_time_t now)
{
    apr_time_t until = aigw_throttle_until(table, key, now);

    return until ? until : now;
}

apr_interval_time_t aigw_throttle_wait(const aigw_throttle_t *table, apr_uint64_t key, const aigw_throttle_limit_t *limit, apr_time_t now)
{
    apr_interval_time_t over;

    if (!limit->tries) {
        return 0;
    }
    over = full_at(table, key, now) + cost(limit) - limit->period - now;
    return over > 0 ? over : 0;
}

void aigw_throttle_charge(aigw_throttle_t *table, apr_uint64_t key, const aigw_throttle_limit_t *limit, apr_time_t now)
{
    if (limit->tries) {
        aigw_throttle_remember(table, key, full_at(table, key, now) + cost(limit), now);
    }
}

void aigw_throttle_refund(aigw_throttle_t *table, apr_uint64_t key, const aigw_throttle_limit_t *limit, apr_time_t now)
{
    entry_t *entry = limit->tries ? find(table, key) : NULL;

    if (entry) {
        entry->until = entry->until - cost(limit) > now ? entry->until - cost(limit) : 0;
    }
}

void aigw_throttle_forget(aigw_throttle_t *table, apr_uint64_t key)
{
    entry_t *entry = find(table, key);

    if (entry) {
        entry->until = 0;
    }
}

/* ------------------------------------------------------------------ "5/15min" */

static const struct {
    const char *name;
    int seconds;
} units[] = {{"s", 1}, {"min", 60}, {"h", 3600}};

/* Digits, up to six. Returns what follows, or NULL. */
static const char *number(const char *s, apr_int64_t *n)
{
    int digits = 0;

    for (*n = 0; apr_isdigit(*s) && digits < 7; s++, digits++) {
        *n = *n * 10 + (*s - '0');
    }
    return digits && digits < 7 ? s : NULL;
}

int aigw_throttle_limit_parse(const char *text, aigw_throttle_limit_t *limit)
{
    apr_int64_t tries, n;
    apr_size_t i;

    if (!(text = number(text, &tries)) || *text++ != '/' || !(text = number(text, &n))) {
        return 0;
    }
    for (i = 0; i < sizeof units / sizeof *units && strcmp(text, units[i].name); i++) {
    }
    if (i == sizeof units / sizeof *units) {
        return 0;
    }
    n = apr_time_from_sec(n * units[i].seconds);
    if (tries < 1 || tries > AIGW_THROTTLE_TRIES || n < AIGW_THROTTLE_PERIOD || n > AIGW_THROTTLE_LONG) {
        return 0;
    }
    limit->tries = (int)tries;
    limit->period = n;
    return 1;
}
