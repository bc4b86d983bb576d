#include "sqlite_writer.h"
#include "sql_sqlite.h"
#include "store_sql.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <http_log.h>
#include <http_main.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>

APLOG_USE_MODULE(aigw);

#define BATCH 256 /* what is in one transaction: so much is lost, and told so, where the disk is full */

/* On the stack of who waits for it. */
typedef struct job_t {
    aigw_sql_work_fn fn;
    apr_pool_t *p;
    void *baton;
    apr_status_t rv;
    int done;
    struct job_t *next;
} job_t;

struct aigw_sqlite_writer_t {
    aigw_sqlite_options_t options;
    apr_pool_t *pool, *connection; /* the latter of sql */
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *work, *done;
    job_t *first, **last;
    int closing;
    /* the thread's own */
    aigw_sql_t *sql; /* NULL: the file could not be opened */
    int complained;
};

/* ------------------------------------------------------------------ a batch */

static void complain(aigw_sqlite_writer_t *writer, const char *why)
{
    if (!writer->complained) {
        writer->complained = 1;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, writer->options.server,
                     "AIGW0501: the store cannot be written: %s (%s): what comes is refused until it can", why, writer->options.path);
    }
}

static int connected(aigw_sqlite_writer_t *writer)
{
    const char *why = "out of memory";

    if (!writer->sql && apr_pool_create(&writer->connection, writer->pool) == APR_SUCCESS) {
        writer->sql =
            aigw_sql_sqlite_open(writer->connection, writer->options.path, writer->options.sync_full, writer->options.patience, &why);
        if (!writer->sql) {
            complain(writer, why);
            apr_pool_destroy(writer->connection);
        }
    }
    return writer->sql != NULL;
}

static apr_status_t say(aigw_sqlite_writer_t *writer, const char *text)
{
    return writer->sql->vt->script(writer->sql, writer->connection, text);
}

/* What one asks for and cannot have takes nothing from the others. */
static apr_status_t run_one(aigw_sqlite_writer_t *writer, job_t *job)
{
    apr_status_t rv = say(writer, "SAVEPOINT one");

    if (rv != APR_SUCCESS) {
        return rv;
    }
    job->rv = job->fn(writer->sql, job->p, job->baton);
    if (job->rv == APR_EGENERAL) {
        aigw_store_sql_refused(writer->options.server, "SQLite", aigw_sql_sqlite_error(writer->sql));
    }
    if (job->rv == APR_EAGAIN) {
        return APR_EAGAIN;
    }
    return say(writer, job->rv == APR_SUCCESS ? "RELEASE one" : "ROLLBACK TO one; RELEASE one");
}

static void run_batch(aigw_sqlite_writer_t *writer, job_t *jobs)
{
    apr_status_t rv = connected(writer) ? say(writer, "BEGIN IMMEDIATE") : APR_EAGAIN;
    job_t *job;

    for (job = jobs; rv == APR_SUCCESS && job; job = job->next) {
        rv = run_one(writer, job);
    }
    if (rv == APR_SUCCESS) {
        rv = say(writer, "COMMIT");
    }
    if (rv == APR_SUCCESS) {
        writer->complained = 0;
        return;
    }
    for (job = jobs; job; job = job->next) {
        job->rv = APR_EAGAIN;
    }
    if (writer->sql) { /* a new connection next time: whatever state this one is in */
        complain(writer, aigw_sql_sqlite_error(writer->sql));
        writer->sql = NULL;
        apr_pool_destroy(writer->connection);
    }
}

/* ------------------------------------------------------------------ the thread */

/* At most BATCH of those that wait; the rest stays. */
static job_t *take(aigw_sqlite_writer_t *writer)
{
    job_t *jobs = writer->first, *job = jobs;
    int n;

    for (n = 1; job && job->next && n < BATCH; n++) {
        job = job->next;
    }
    if (job) {
        writer->first = job->next;
        job->next = NULL;
    }
    if (!writer->first) {
        writer->last = &writer->first;
    }
    return jobs;
}

static void *APR_THREAD_FUNC writer_main(apr_thread_t *thread, void *data)
{
    aigw_sqlite_writer_t *writer = data;
    job_t *jobs, *next;

    apr_thread_mutex_lock(writer->mutex);
    for (;;) {
        while (!writer->first && !writer->closing) {
            apr_thread_cond_wait(writer->work, writer->mutex);
        }
        if (!(jobs = take(writer))) {
            break;
        }
        apr_thread_mutex_unlock(writer->mutex);
        run_batch(writer, jobs);
        apr_thread_mutex_lock(writer->mutex);
        for (; jobs; jobs = next) {
            next = jobs->next; /* it is gone as soon as the mutex is */
            jobs->done = 1;
        }
        apr_thread_cond_broadcast(writer->done);
    }
    apr_thread_mutex_unlock(writer->mutex);
    return NULL;
}

static apr_status_t stop(void *data)
{
    aigw_sqlite_writer_t *writer = data;
    apr_status_t rv;

    apr_thread_mutex_lock(writer->mutex);
    writer->closing = 1;
    apr_thread_cond_signal(writer->work);
    apr_thread_mutex_unlock(writer->mutex);
    apr_thread_join(&rv, writer->thread);
    return APR_SUCCESS;
}

aigw_sqlite_writer_t *aigw_sqlite_writer_make(apr_pool_t *p, const aigw_sqlite_options_t *options)
{
    apr_pool_t *pool = aigw_own_pool(p);
    aigw_sqlite_writer_t *writer = pool ? apr_pcalloc(pool, sizeof *writer) : NULL;
    sigset_t before;
    apr_status_t rv;

    if (!writer) {
        return NULL;
    }
    writer->options = *options;
    writer->pool = pool;
    writer->last = &writer->first;
    if (apr_thread_mutex_create(&writer->mutex, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS ||
        apr_thread_cond_create(&writer->work, pool) != APR_SUCCESS || apr_thread_cond_create(&writer->done, pool) != APR_SUCCESS) {
        return NULL;
    }
    aigw_signals_hold(&before);
    rv = ap_thread_create(&writer->thread, NULL, writer_main, writer, pool);
    aigw_signals_release(&before);
    if (rv != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_pre_cleanup_register(p, writer, stop);
    return writer;
}

/* Signals are held: prefork's handler of SIGTERM would end this thread in the middle, and the writer would go on with its stack. */
apr_status_t aigw_sqlite_writer_do(aigw_sqlite_writer_t *writer, apr_pool_t *p, aigw_sql_work_fn fn, void *baton)
{
    job_t job = {.fn = fn, .p = p, .baton = baton, .rv = APR_EAGAIN};
    sigset_t before;

    aigw_signals_hold(&before);
    apr_thread_mutex_lock(writer->mutex);
    if (!writer->closing) {
        *writer->last = &job;
        /* cppcheck-suppress autoVariables ; it is taken off the list before this returns */
        writer->last = &job.next;
        apr_thread_cond_signal(writer->work);
        while (!job.done) {
            apr_thread_cond_wait(writer->done, writer->mutex);
        }
    }
    apr_thread_mutex_unlock(writer->mutex);
    aigw_signals_release(&before);
    return job.rv;
}
