/* What a child reads anew while requests use what was read before: each state of it has a pool of its own, which goes when the last one has given it back.
 *
 * Thread: any, unless it says otherwise.
 */
#ifndef AIGW_AUTH_GENERATION_H
#define AIGW_AUTH_GENERATION_H

#include <httpd.h>
#include <apr_thread_mutex.h>

typedef struct aigw_generation_t {
    apr_pool_t *pool;
    void *data; /* in pool; constant once it is the current one */
    int users;  /* threads that use it now; and one for being the current one. Under mutex */
} aigw_generation_t;

typedef struct aigw_generations_t {
    apr_thread_mutex_t *mutex;  /* of the child; NULL before */
    aigw_generation_t *current; /* under mutex, once there is one */
} aigw_generations_t;

/* A new one, in memory of its own. NULL: there is none. */
aigw_generation_t *aigw_generation_make(void);

/* One that has never been the current one. */
void aigw_generation_drop(aigw_generation_t *g);

/* Makes the mutex, once in a child. Thread: child_init. */
apr_status_t aigw_generations_child_init(aigw_generations_t *all, apr_pool_t *pchild);

/* The current one, until it is given back; NULL: there is none. */
aigw_generation_t *aigw_generations_take(aigw_generations_t *all);
void aigw_generations_give_back(aigw_generations_t *all, aigw_generation_t *g);

/* From now on g is the current one. */
void aigw_generations_replace(aigw_generations_t *all, aigw_generation_t *g);

#endif
