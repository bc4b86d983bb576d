#include "sql.h"

#include <apr_strings.h>
#include <string.h>

const char *aigw_sql_expand(apr_pool_t *p, const char *text, const char *now, const char *skip, const char *bigint)
{
    const struct {
        const char *word, *with;
    } words[] = {{"{now}", now}, {"{skip}", skip}, {"{bigint}", bigint}};
    const char *result = "", *brace;

    while ((brace = strchr(text, '{')) != NULL) {
        apr_size_t i, len = 1;
        const char *with = "{";

        for (i = 0; i < sizeof words / sizeof *words; i++) {
            if (!strncmp(brace, words[i].word, strlen(words[i].word))) {
                with = words[i].with;
                len = strlen(words[i].word);
            }
        }
        result = apr_pstrcat(p, result, apr_pstrmemdup(p, text, (apr_size_t)(brace - text)), with, NULL);
        text = brace + len;
    }
    return apr_pstrcat(p, result, text, NULL);
}

aigw_sql_value_t aigw_sql_int(apr_int64_t n)
{
    aigw_sql_value_t value = {.kind = AIGW_SQL_INT, .n = n};

    return value;
}

aigw_sql_value_t aigw_sql_real(double d)
{
    aigw_sql_value_t value = {.kind = AIGW_SQL_REAL, .d = d};

    return value;
}

aigw_sql_value_t aigw_sql_text(const char *s)
{
    aigw_sql_value_t value = {.kind = s ? AIGW_SQL_TEXT : AIGW_SQL_NULL, .s = s};

    return value;
}

const aigw_sql_value_t *aigw_sql_cell(const aigw_sql_rows_t *rows, int row, int column)
{
    return &rows->cells[row * rows->columns + column];
}

apr_int64_t aigw_sql_cell_int(const aigw_sql_rows_t *rows, int row, int column)
{
    return aigw_sql_cell(rows, row, column)->n;
}

double aigw_sql_cell_real(const aigw_sql_rows_t *rows, int row, int column)
{
    const aigw_sql_value_t *cell = aigw_sql_cell(rows, row, column);

    return cell->kind == AIGW_SQL_INT ? (double)cell->n : cell->d;
}

const char *aigw_sql_cell_text(const aigw_sql_rows_t *rows, int row, int column)
{
    return aigw_sql_cell(rows, row, column)->s;
}
