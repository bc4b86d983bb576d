#include "key_list.h"
#include "aigw_rfc3339.h"
#include "key_say.h"

#include <apr_strings.h>
#include <jansson.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 7

const char *key_state(const aigw_key_t *key, apr_time_t now)
{
    return key->disabled ? "disabled" : key->expires && key->expires <= now ? "expired" : "active";
}

static int flushed(void)
{
    return fflush(stdout) || ferror(stdout) ? key_failed("The list could not be written to the standard output: %s.", strerror(errno))
                                            : KEY_OK;
}

/* ------------------------------------------------------------------ the table */

/* Names have no control characters: the terminal gets none (aigw_key_file.h). */
static const char **row_of(const aigw_key_t *key, apr_time_t now, apr_pool_t *p)
{
    const char **cells = apr_palloc(p, COLUMNS * sizeof *cells);

    cells[0] = key->id;
    cells[1] = key->user;
    cells[2] = key->tier ? key->tier : "-";
    cells[3] = key->scopes && key->scopes->nelts ? apr_array_pstrcat(p, key->scopes, ',') : "-";
    cells[4] = !key->models ? "all" : key->models->nelts ? apr_array_pstrcat(p, key->models, ',') : "none";
    cells[5] = key->expires ? aigw_rfc3339_format(p, key->expires) : "never";
    cells[6] = key_state(key, now);
    return cells;
}

/* Characters of UTF-8; those that a terminal shows wider are out by one. */
static int width_of(const char *s)
{
    int n = 0;

    for (; *s; s++) {
        n += (*s & 0xC0) != 0x80;
    }
    return n;
}

int key_list_table(const aigw_key_file_t *file, apr_time_t now, apr_pool_t *p)
{
    static const char *titles[COLUMNS] = {"ID", "USER", "TIER", "SCOPES", "MODELS", "EXPIRES", "STATE"};
    const char ***rows = apr_palloc(p, (file->n + 1) * sizeof *rows);
    int widths[COLUMNS] = {0}, column;
    apr_size_t i;

    for (i = 0; i <= file->n; i++) {
        rows[i] = i ? row_of(file->keys[i - 1], now, p) : titles;
        for (column = 0; column < COLUMNS; column++) {
            int width = width_of(rows[i][column]);

            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
    for (i = 0; i <= file->n; i++) {
        for (column = 0; column < COLUMNS - 1; column++) {
            printf("%s%*s", rows[i][column], widths[column] - width_of(rows[i][column]) + 2, "");
        }
        puts(rows[i][COLUMNS - 1]);
    }
    return flushed();
}

/* ------------------------------------------------------------------ JSON */

static json_t *name_or_null(const char *name)
{
    return name ? json_string(name) : json_null();
}

static json_t *array_of(const apr_array_header_t *names)
{
    json_t *array = json_array();
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        json_array_append_new(array, json_string(APR_ARRAY_IDX(names, i, const char *)));
    }
    return array;
}

static json_t *object_of(const aigw_key_t *key, apr_time_t now, apr_pool_t *p)
{
    json_t *object = json_object();

    json_object_set_new(object, "id", json_string(key->id));
    json_object_set_new(object, "user", json_string(key->user));
    json_object_set_new(object, "tier", name_or_null(key->tier));
    json_object_set_new(object, "scopes", array_of(key->scopes));
    json_object_set_new(object, "models", key->models ? array_of(key->models) : json_null());
    json_object_set_new(object, "expires", name_or_null(key->expires ? aigw_rfc3339_format(p, key->expires) : NULL));
    json_object_set_new(object, "state", json_string(key_state(key, now)));
    json_object_set_new(object, "created", name_or_null(key->created));
    json_object_set_new(object, "note", name_or_null(key->note));
    return object;
}

int key_list_json(const aigw_key_file_t *file, apr_time_t now, apr_pool_t *p)
{
    json_t *all = json_array();
    apr_size_t i;

    for (i = 0; i < file->n; i++) {
        json_array_append_new(all, object_of(file->keys[i], now, p));
    }
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return flushed();
}
