/* Where the next page of a list of tasks begins: "CREATED-ID" of the last task of the page before. */
#ifndef AIGW_TASK_CURSOR_H
#define AIGW_TASK_CURSOR_H

#include "aigw_store.h"

/* 1; or 0: that is none of ours. *id points into it. */
int aigw_task_cursor_read(const char *cursor, apr_int64_t *created, const char **id);

const char *aigw_task_cursor_make(apr_pool_t *p, const aigw_task_t *last);

#endif
