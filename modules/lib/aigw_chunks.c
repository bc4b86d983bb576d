#include "aigw_chunks.h"
#include "aigw_buffer.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_MAX   1024 /* elements of a list that are put together by their index: tool calls */
#define GROWING_MAX 4096

/* A text that grows, until the end beside the object that it belongs to: a JSON string would be copied for each piece. */
typedef struct growing_t {
    json_t *owner; /* borrowed: objects of the answer stay where they are */
    const char *key;
    aigw_buffer_t text;
} growing_t;

struct aigw_chunks_t {
    apr_pool_t *pool;
    json_t *answer;              /* NULL: nothing came */
    apr_array_header_t *growing; /* growing_t * */
    int pieces;                  /* of the chunk at hand */
    int failed;                  /* no memory */
};

static apr_status_t free_answer(void *data)
{
    aigw_chunks_t *chunks = data;

    json_decref(chunks->answer);
    chunks->answer = NULL;
    return APR_SUCCESS;
}

aigw_chunks_t *aigw_chunks_make(apr_pool_t *p)
{
    aigw_chunks_t *chunks = apr_pcalloc(p, sizeof *chunks);

    chunks->pool = p;
    chunks->growing = apr_array_make(p, 4, sizeof(growing_t *));
    apr_pool_cleanup_register(p, chunks, free_answer, apr_pool_cleanup_null);
    return chunks;
}

/* ------------------------------------------------------------------ texts that grow */

static growing_t *find_growing(aigw_chunks_t *chunks, const json_t *owner, const char *key)
{
    int i;

    for (i = 0; i < chunks->growing->nelts; i++) {
        growing_t *g = APR_ARRAY_IDX(chunks->growing, i, growing_t *);

        if (g->owner == owner && !strcmp(g->key, key)) {
            return g;
        }
    }
    return NULL;
}

static void grow(aigw_chunks_t *chunks, json_t *owner, const char *key, const json_t *text)
{
    growing_t *g = find_growing(chunks, owner, key);

    if (!g && chunks->growing->nelts >= GROWING_MAX) {
        return; /* no answer has so many texts */
    }
    if (!g) {
        g = apr_pcalloc(chunks->pool, sizeof *g);
        aigw_buffer_init(&g->text, chunks->pool);
        g->owner = owner;
        g->key = apr_pstrdup(chunks->pool, key);
        APR_ARRAY_PUSH(chunks->growing, growing_t *) = g;
        chunks->failed |= json_object_set_new(owner, key, json_string("")) != 0; /* its place among the members */
    }
    chunks->failed |= aigw_buffer_add(&g->text, json_string_value(text), json_string_length(text)) != APR_SUCCESS;
}

/* ------------------------------------------------------------------ putting together */

/* What a delta says once, and some servers again and again. */
static int said_once(const char *key)
{
    static const char *const names[] = {"role", "type", "id", "name", NULL};
    int i;

    for (i = 0; names[i] && strcmp(names[i], key); i++) {
    }
    return names[i] != NULL;
}

static void add_members(aigw_chunks_t *chunks, json_t *to, const json_t *from);

/* What is an object or a list stays one: texts that grow belong to it. */
static void replace(aigw_chunks_t *chunks, json_t *to, const char *key, json_t *value)
{
    const json_t *had = json_object_get(to, key);

    if (!json_is_object(had) && !json_is_array(had)) {
        chunks->failed |= json_object_set(to, key, value) != 0;
    }
}

/* The element of that index; made if there is none yet. NULL: nobody has so many. */
static json_t *element_at(aigw_chunks_t *chunks, json_t *list, const json_t *element)
{
    const json_t *said = json_object_get(element, "index");
    json_t *at;
    size_t i;

    json_array_foreach(list, i, at)
    {
        if (json_equal(json_object_get(at, "index"), said)) {
            return at;
        }
    }
    if (json_array_size(list) >= INDEX_MAX) {
        return NULL;
    }
    at = json_object();
    chunks->failed |= json_array_append_new(list, at) != 0;
    return at;
}

/* list: NULL: nowhere. */
static void add_list(aigw_chunks_t *chunks, json_t *list, const json_t *from)
{
    json_t *element, *to;
    size_t i;

    json_array_foreach(list ? from : NULL, i, element)
    {
        if (!json_is_integer(json_object_get(element, "index"))) {
            chunks->failed |= json_array_append(list, element) != 0;
        }
        else if ((to = element_at(chunks, list, element)) != NULL) {
            add_members(chunks, to, element);
        }
    }
}

/* The member as an object or a list of ours, made where there is none. NULL: it is the other one. */
static json_t *container(aigw_chunks_t *chunks, json_t *to, const char *key, int list)
{
    json_t *had = json_object_get(to, key);

    if (!json_is_object(had) && !json_is_array(had)) {
        had = list ? json_array() : json_object();
        chunks->failed |= json_object_set_new(to, key, had) != 0;
    }
    return json_is_array(had) == list ? had : NULL;
}

/* Of one object of a chunk into that of the answer; NULL: nowhere. */
static void add_members(aigw_chunks_t *chunks, json_t *to, const json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach(to ? (json_t *)from : NULL, key, value)
    {
        const json_t *had = json_object_get(to, key);

        if (chunks->failed) {
            return;
        }
        if (json_is_null(value)) {
            if (!had) {
                replace(chunks, to, key, value);
            }
        }
        else if (json_is_object(value)) {
            add_members(chunks, container(chunks, to, key, 0), value);
        }
        else if (json_is_array(value)) {
            add_list(chunks, container(chunks, to, key, 1), value);
        }
        else if (!json_is_string(value)) {
            replace(chunks, to, key, value);
        }
        else if (!said_once(key)) {
            grow(chunks, to, key, value);
        }
        else if (!json_string_length(had)) {
            replace(chunks, to, key, value);
        }
    }
}

/* ------------------------------------------------------------------ chunks */

static int says_something(const json_t *delta)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)delta, key, value)
    {
        if (strcmp(key, "role") && (json_string_length(value) || json_array_size(value))) {
            return 1;
        }
    }
    return 0;
}

/* The choice of the answer that this one is a piece of. NULL: no choice that there can be. */
static json_t *choice_at(aigw_chunks_t *chunks, const json_t *choice, size_t place)
{
    const json_t *said = json_object_get(choice, "index");
    const json_int_t index = json_is_integer(said) ? json_integer_value(said) : (json_int_t)place;
    json_t *all = container(chunks, chunks->answer, "choices", 1), *made;

    if (!all || !json_is_object(choice) || index < 0 || index >= AIGW_CHUNKS_CHOICES) {
        return NULL;
    }
    while (!chunks->failed && json_array_size(all) <= (size_t)index) {
        made = json_pack("{s:I,s:{},s:n}", "index", (json_int_t)json_array_size(all), "message", "finish_reason");
        chunks->failed |= json_array_append_new(all, made) != 0;
    }
    return json_array_get(all, (size_t)index);
}

static int add_choice(aigw_chunks_t *chunks, const json_t *choice, size_t place)
{
    json_t *to = choice_at(chunks, choice, place), *value;
    const char *key;

    if (!to || chunks->failed) {
        return 0;
    }
    json_object_foreach((json_t *)choice, key, value)
    {
        if (!strcmp(key, "index")) { /* it has ours, whatever this is */
            continue;
        }
        if (!strcmp(key, "delta") || !strcmp(key, "message")) {
            if (json_is_object(value)) {
                add_members(chunks, container(chunks, to, "message", 0), value);
                chunks->pieces += says_something(value);
            }
        }
        else if (json_is_object(value)) { /* logprobs */
            add_members(chunks, container(chunks, to, key, 0), value);
        }
        else if (!json_is_null(value) || !json_object_get(to, key)) {
            replace(chunks, to, key, value);
        }
    }
    return 1;
}

apr_status_t aigw_chunks_add(aigw_chunks_t *chunks, const char *json, apr_size_t len, int *pieces)
{
    json_t *chunk = json_loadb(json, len, JSON_ALLOW_NUL, NULL), *value, *choice;
    const char *key;
    int good = json_is_object(chunk);
    size_t i;

    chunks->pieces = 0;
    if (good && !chunks->answer && !(chunks->answer = json_object())) {
        chunks->failed = 1;
    }
    json_object_foreach(good && !chunks->failed ? chunk : NULL, key, value)
    {
        if (!strcmp(key, "choices")) {
            json_array_foreach(value, i, choice)
            {
                good &= add_choice(chunks, choice, i);
            }
        }
        else if (!json_is_null(value) || !json_object_get(chunks->answer, key)) {
            replace(chunks, chunks->answer, key, value);
        }
    }
    json_decref(chunk);
    *pieces = chunks->pieces;
    return chunks->failed ? APR_ENOMEM : good ? APR_SUCCESS : APR_EINVAL;
}

/* ------------------------------------------------------------------ the answer */

/* Only chunks number them. */
static void forget_indexes(json_t *answer)
{
    json_t *choice, *call;
    size_t i, j;

    json_array_foreach(json_object_get(answer, "choices"), i, choice)
    {
        json_array_foreach(json_object_get(json_object_get(choice, "message"), "tool_calls"), j, call)
        {
            json_object_del(call, "index");
        }
    }
}

char *aigw_chunks_take(aigw_chunks_t *chunks, apr_size_t *len)
{
    char *text = NULL;
    int i;

    for (i = 0; chunks->answer && i < chunks->growing->nelts; i++) {
        growing_t *g = APR_ARRAY_IDX(chunks->growing, i, growing_t *);

        if (json_is_string(json_object_get(g->owner, g->key))) { /* and not an object by now, which may own others */
            chunks->failed |= json_object_set_new(g->owner, g->key, json_stringn(g->text.data ? g->text.data : "", g->text.len)) != 0;
        }
        aigw_buffer_clear(&g->text, 0);
    }
    if (chunks->answer && !chunks->failed) {
        forget_indexes(chunks->answer);
        chunks->failed |= json_object_set_new(chunks->answer, "object", json_string("chat.completion")) != 0;
        text = chunks->failed ? NULL : json_dumps(chunks->answer, JSON_COMPACT);
        *len = text ? strlen(text) : 0;
    }
    free_answer(chunks);
    return text;
}
