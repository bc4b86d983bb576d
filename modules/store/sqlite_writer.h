/* The one thread of a child that writes to the SQLite file: what many ask for at the same time is one transaction, and one wait for the disk. */
#ifndef AIGW_SQLITE_WRITER_H
#define AIGW_SQLITE_WRITER_H

#include "store_sql.h"

#include <httpd.h>

typedef struct aigw_sqlite_writer_t aigw_sqlite_writer_t;

typedef struct aigw_sqlite_options_t {
    const char *path;
    int sync_full;                /* AIGWStoreSync */
    apr_interval_time_t patience; /* for other processes' transactions, microseconds */
    server_rec *server;           /* for the log */
} aigw_sqlite_options_t;

/* It ends with p, after what was submitted is done. NULL: no thread, no memory. */
aigw_sqlite_writer_t *aigw_sqlite_writer_make(apr_pool_t *p, const aigw_sqlite_options_t *options);

/* Waits until it is in the file, or is not. Any thread but the writer's. */
apr_status_t aigw_sqlite_writer_do(aigw_sqlite_writer_t *writer, apr_pool_t *p, aigw_sql_work_fn fn, void *baton);

#endif
