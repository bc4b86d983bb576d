#include "sql_task_row.h"

const aigw_task_t *aigw_sql_task_of(const aigw_sql_rows_t *rows, int row, apr_pool_t *p)
{
    aigw_task_t *task = apr_pcalloc(p, sizeof *task);

    task->id = aigw_sql_cell_text(rows, row, 0);
    task->owner = aigw_sql_cell_text(rows, row, 1);
    task->server = aigw_sql_cell_text(rows, row, 2);
    task->identity = aigw_sql_cell_text(rows, row, 3);
    task->endpoint = aigw_sql_cell_text(rows, row, 4);
    task->model = aigw_sql_cell_text(rows, row, 5);
    task->priority = (int)aigw_sql_cell_int(rows, row, 6);
    task->state = (aigw_task_state_e)aigw_sql_cell_int(rows, row, 7);
    task->attempts = (int)aigw_sql_cell_int(rows, row, 8);
    task->cancelling = (int)aigw_sql_cell_int(rows, row, 9);
    task->progress = aigw_sql_cell_real(rows, row, 10);
    task->tokens = aigw_sql_cell_int(rows, row, 11);
    task->error = aigw_sql_cell_text(rows, row, 12);
    task->usage = aigw_sql_cell_text(rows, row, 13);
    task->created = aigw_sql_cell_int(rows, row, 14);
    task->started = aigw_sql_cell_int(rows, row, 15);
    task->completed = aigw_sql_cell_int(rows, row, 16);
    task->expires = aigw_sql_cell_int(rows, row, 17);
    task->ttl = aigw_sql_cell_int(rows, row, 18);
    task->callback_url = aigw_sql_cell_text(rows, row, 19);
    task->claims = aigw_sql_cell_int(rows, row, 20);
    if (rows->columns > 21) {
        task->request = aigw_sql_cell_text(rows, row, 21);
        if (task->request && !*task->request) { /* it is over */
            task->request = NULL;
        }
        task->result = aigw_sql_cell_text(rows, row, 22);
    }
    return task;
}
