#include "aigw_owners.h"
#include "aigw_shared.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

typedef struct owner_t {
    pthread_mutex_t mutex;    /* locked for as long as it lives */
    apr_uint64_t incarnation; /* 0: nobody */
    apr_uint32_t dead;        /* 1: it is being buried */
    pid_t pid;
} owner_t;

struct aigw_owners_t {
    apr_uint32_t places, taken; /* taken: those below were used once */
    apr_uint64_t last;          /* the newest incarnation */
    owner_t of[];
};

apr_size_t aigw_owners_size(apr_uint32_t places)
{
    return sizeof(aigw_owners_t) + places * sizeof(owner_t);
}

apr_status_t aigw_owners_init(aigw_owners_t **made, void *block, apr_uint32_t places)
{
    aigw_owners_t *owners = block;
    apr_uint32_t i;

    for (i = 0; i < places; i++) {
        int rc = aigw_shared_mutex(&owners->of[i].mutex);

        if (rc) {
            return rc;
        }
    }
    owners->places = places;
    *made = owners;
    return APR_SUCCESS;
}

apr_status_t aigw_owners_join(aigw_owners_t *owners, apr_uint32_t *place, apr_uint64_t *incarnation)
{
    apr_uint32_t i = 0;
    owner_t *owner;
    int rc;

    while (i < owners->places && owners->of[i].incarnation) {
        i++;
    }
    if (i == owners->places) {
        return APR_ENOSPC;
    }
    owner = &owners->of[i];
    rc = pthread_mutex_trylock(&owner->mutex);
    if (rc == EOWNERDEAD) { /* of one that died while it joined */
        rc = pthread_mutex_consistent(&owner->mutex);
    }
    if (rc) {
        return rc;
    }
    if (i >= owners->taken) {
        owners->taken = i + 1;
    }
    owner->pid = getpid();
    owner->dead = 0;
    *place = i;
    *incarnation = ++owners->last;
    __atomic_store_n(&owner->incarnation, *incarnation, __ATOMIC_RELEASE);
    return APR_SUCCESS;
}

void aigw_owners_leave(aigw_owners_t *owners, apr_uint32_t place)
{
    pthread_mutex_unlock(&owners->of[place].mutex);
}

int aigw_owners_lives(const aigw_owners_t *owners, apr_uint32_t place, apr_uint64_t incarnation)
{
    const owner_t *owner = &owners->of[place];

    return incarnation && __atomic_load_n(&owner->incarnation, __ATOMIC_ACQUIRE) == incarnation &&
           !__atomic_load_n(&owner->dead, __ATOMIC_ACQUIRE);
}

apr_uint32_t aigw_owners_places(const aigw_owners_t *owners)
{
    return owners->taken;
}

/* 1: somebody has its mutex. Where the memory was unmapped before the process ended the kernel cannot find it: then the process ID says so. It may be another's by now, which is late, never wrong. */
static int has_mutex(owner_t *owner)
{
    switch (pthread_mutex_trylock(&owner->mutex)) {
    case EBUSY:
        if (kill(owner->pid, 0) == 0 || errno != ESRCH) {
            return 1;
        }
        aigw_shared_mutex(&owner->mutex);
        return 0;
    case EOWNERDEAD:
        pthread_mutex_consistent(&owner->mutex);
        pthread_mutex_unlock(&owner->mutex);
        return 0;
    case 0:
        pthread_mutex_unlock(&owner->mutex);
        return 0;
    default: /* not recoverable: should not happen */
        aigw_shared_mutex(&owner->mutex);
        return 0;
    }
}

apr_uint64_t aigw_owners_dead(aigw_owners_t *owners, apr_uint32_t place)
{
    owner_t *owner = &owners->of[place];

    if (!owner->incarnation || (!owner->dead && has_mutex(owner))) {
        return 0;
    }
    __atomic_store_n(&owner->dead, 1, __ATOMIC_RELEASE);
    return owner->incarnation;
}

void aigw_owners_bury(aigw_owners_t *owners, apr_uint32_t place)
{
    __atomic_store_n(&owners->of[place].incarnation, 0, __ATOMIC_RELEASE);
}

apr_uint32_t aigw_owners_count(const aigw_owners_t *owners)
{
    apr_uint32_t i, n = 0;

    for (i = 0; i < owners->taken; i++) {
        n += __atomic_load_n(&owners->of[i].incarnation, __ATOMIC_RELAXED) != 0;
    }
    return n;
}
