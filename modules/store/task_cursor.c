#include "task_cursor.h"

#include <apr_strings.h>
#include <string.h>

int aigw_task_cursor_read(const char *cursor, apr_int64_t *created, const char **id)
{
    char *end;

    *created = *cursor >= '0' && *cursor <= '9' ? apr_strtoi64(cursor, &end, 10) : -1;
    if (*created < 0 || *end != '-') {
        return 0;
    }
    *id = end + 1;
    return strlen(*id) == AIGW_TASK_ID && strspn(*id, "0123456789abcdef") == AIGW_TASK_ID;
}

const char *aigw_task_cursor_make(apr_pool_t *p, const aigw_task_t *last)
{
    return apr_psprintf(p, "%" APR_TIME_T_FMT "-%s", last->created, last->id);
}
