/* How far a task had come when somebody was told of it: the id of its events, from which a client goes on that lost its connection.
 *
 * A mark is reckoned from the task's row alone, so that every child, every machine and a gateway that was restarted say the same; and it only ever grows: with each claim, within a claim from running to
 * handed back (pending) or over, while it runs with the tokens and the progress.
 *
 * Thread: any; no state, no memory.
 */
#ifndef AIGW_TASK_MARK_H
#define AIGW_TASK_MARK_H

#include <apr.h>

typedef struct aigw_task_mark_t {
    apr_int64_t claims; /* how often the task was claimed or taken back: grows for ever */
    int state;          /* aigw_task_state_e */
    apr_int64_t tokens; /* of the answer so far */
    int permille;       /* of the progress */
} aigw_task_mark_t;

#define AIGW_TASK_MARK_MAX 64 /* bytes of a mark as text, NUL included */

/* state: 0 pending, 1 running, 2 completed, 3 failed, 4 cancelled. tokens: -1: none yet. progress: 0..1. */
aigw_task_mark_t aigw_task_mark(apr_int64_t claims, int state, apr_int64_t tokens, double progress);

/* "3-running-120-480". */
void aigw_task_mark_write(const aigw_task_mark_t *mark, char text[AIGW_TASK_MARK_MAX]);

/* 1, or 0: that is no mark of ours. text may be NULL. */
int aigw_task_mark_read(const char *text, aigw_task_mark_t *mark);

/* < 0, 0, > 0: a is before, at, behind b. */
int aigw_task_mark_compare(const aigw_task_mark_t *a, const aigw_task_mark_t *b);

#endif
