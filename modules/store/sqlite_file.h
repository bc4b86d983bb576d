/* Where the file of the SQLite store is, and whose: before there are children. */
#ifndef AIGW_SQLITE_FILE_H
#define AIGW_SQLITE_FILE_H

#include <httpd.h>

/* The user that the children will be, where httpd is started by root. 1: that is who this process is from now on. */
int aigw_sqlite_file_become_user(void);

/* The folder, if that is all that is missing: as the one who starts httpd, in a folder of his. */
void aigw_sqlite_file_make_folder(apr_pool_t *p, const char *path);

/* Can it be there? What is certain to fail is an error (logged), what others may read a warning; what cannot be known is for the start to see. path is absolute. Twice does no harm. */
apr_status_t aigw_sqlite_file_check(server_rec *s, apr_pool_t *p, const char *path);

#endif
