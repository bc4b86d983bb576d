#include "aigw_shared.h"

#include <apr_shm.h>

#include <errno.h>
#include <time.h>

#define LINE       64       /* bytes of a cache line: the data does not share one with the mutex */
#define LOOK_AGAIN 10000000 /* nanoseconds */

struct aigw_shared_t {
    apr_shm_t *shm;
    pthread_mutex_t *mutex; /* in the memory */
    void *data;
};

int aigw_shared_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);

    if (!rc) {
        rc = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        if (!rc) {
            rc = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        }
        if (!rc) {
            rc = pthread_mutex_init(mutex, &attributes);
        }
        pthread_mutexattr_destroy(&attributes);
    }
    return rc;
}

apr_status_t aigw_shared_make(aigw_shared_t **made, apr_size_t size, apr_pool_t *process)
{
    aigw_shared_t *shared = apr_pcalloc(process, sizeof *shared);
    apr_status_t rv = apr_shm_create(&shared->shm, sizeof(pthread_mutex_t) + LINE + size, NULL, process);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    shared->mutex = apr_shm_baseaddr_get(shared->shm);
    shared->data = (void *)APR_ALIGN((apr_uintptr_t)(shared->mutex + 1), LINE);
    if ((rv = aigw_shared_mutex(shared->mutex)) != APR_SUCCESS) {
        aigw_shared_drop(shared);
        return rv;
    }
    *made = shared;
    return APR_SUCCESS;
}

void aigw_shared_drop(aigw_shared_t *shared)
{
    apr_shm_destroy(shared->shm);
}

void *aigw_shared_data(const aigw_shared_t *shared)
{
    return shared->data;
}

/* Waits, but looks again each time: a process that is killed just when it was woken takes the waking of the others with it where somebody has the mutex again by then, without knowing of them
 * (neither glibc nor the kernel sees to that). Who would then wait for ever, with other locks in his hands, would be waited for himself. */
static int lock_patiently(pthread_mutex_t *mutex)
{
    struct timespec until;
    int rc = pthread_mutex_trylock(mutex);

    if (rc != EBUSY) {
        return rc;
    }
    do {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_AGAIN;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        rc = pthread_mutex_timedlock(mutex, &until);
    } while (rc == ETIMEDOUT);
    return rc;
}

apr_status_t aigw_shared_lock(aigw_shared_t *shared)
{
    int rc = lock_patiently(shared->mutex);

    if (rc == EOWNERDEAD) {
        rc = pthread_mutex_consistent(shared->mutex);
        if (!rc) {
            return APR_INCOMPLETE;
        }
        pthread_mutex_unlock(shared->mutex);
    }
    return rc;
}

void aigw_shared_unlock(aigw_shared_t *shared)
{
    pthread_mutex_unlock(shared->mutex);
}
