/* What of httpd's own limits would trap an administrator: set right where we can, else a numbered warning at start that names the remedy. docs/operations.md. */
#ifndef AIGW_CAPACITY_H
#define AIGW_CAPACITY_H

#include <httpd.h>

/* In post_config, main thread: raises the soft limit of open files, warns. */
void aigw_capacity_check(apr_pool_t *ptemp, server_rec *main_server);

#endif
