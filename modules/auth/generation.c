#include "generation.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

aigw_generation_t *aigw_generation_make(void)
{
    apr_pool_t *pool = aigw_own_pool(NULL);
    aigw_generation_t *g;

    if (!pool) {
        return NULL;
    }
    g = apr_pcalloc(pool, sizeof *g);
    g->pool = pool;
    g->users = 1;
    return g;
}

void aigw_generation_drop(aigw_generation_t *g)
{
    apr_pool_destroy(g->pool);
}

apr_status_t aigw_generations_child_init(aigw_generations_t *all, apr_pool_t *pchild)
{
    return all->mutex ? APR_SUCCESS : apr_thread_mutex_create(&all->mutex, APR_THREAD_MUTEX_DEFAULT, pchild);
}

static void lock(aigw_generations_t *all, sigset_t *before)
{
    aigw_signals_hold(before);
    apr_thread_mutex_lock(all->mutex);
}

static void unlock(aigw_generations_t *all, const sigset_t *before)
{
    apr_thread_mutex_unlock(all->mutex);
    aigw_signals_release(before);
}

aigw_generation_t *aigw_generations_take(aigw_generations_t *all)
{
    aigw_generation_t *g;
    sigset_t before;

    lock(all, &before);
    g = all->current;
    if (g) {
        g->users++;
    }
    unlock(all, &before);
    return g;
}

void aigw_generations_give_back(aigw_generations_t *all, aigw_generation_t *g)
{
    sigset_t before;
    int left;

    lock(all, &before);
    left = --g->users;
    unlock(all, &before);
    if (!left) {
        aigw_generation_drop(g);
    }
}

void aigw_generations_replace(aigw_generations_t *all, aigw_generation_t *g)
{
    aigw_generation_t *old;
    sigset_t before;

    lock(all, &before);
    old = all->current;
    all->current = g;
    unlock(all, &before);
    if (old) {
        aigw_generations_give_back(all, old);
    }
}
