/* Memory that all children share and that lives as long as httpd's main process: a restart, graceful or not, keeps it. With a lock.
 *
 * The lock is a robust mutex of POSIX, in the memory itself: where a child dies that holds it (kill -9, a crash), the next one who asks for it gets it and is told.
 * APR's would do the same where it is of the kind "pthread", but which kind it is is the platform's and the administrator's choice, and it would go with pconf.
 */
#ifndef AIGW_SHARED_H
#define AIGW_SHARED_H

#include <apr_errno.h>
#include <apr_pools.h>
#include <pthread.h>

typedef struct aigw_shared_t aigw_shared_t; /* a process's own; children inherit it */

/* So many bytes, all zeros. process: the pool of the main process. Before there are children. */
apr_status_t aigw_shared_make(aigw_shared_t **shared, apr_size_t size, apr_pool_t *process);

/* Gives them back in this process; children that still have them keep them. */
void aigw_shared_drop(aigw_shared_t *shared);

/* Where they are; aligned for any type. */
void *aigw_shared_data(const aigw_shared_t *shared);

/* APR_SUCCESS; APR_INCOMPLETE: locked too, but somebody died who had it locked: what he was changing may be half done. Else it is not locked. Any thread. */
apr_status_t aigw_shared_lock(aigw_shared_t *shared);
void aigw_shared_unlock(aigw_shared_t *shared);

/* Makes such a mutex where the caller wants it, in memory that processes share. 0, or an errno. */
int aigw_shared_mutex(pthread_mutex_t *mutex);

#endif
