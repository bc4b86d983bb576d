/* The child's background queue: work after the response has left, on one thread, bounded. aigw_core_t.defer. */
#ifndef AIGW_DEFER_H
#define AIGW_DEFER_H

#include <httpd.h>
#include "aigw.h"

apr_status_t aigw_defer(const char *name, aigw_defer_fn fn, void *baton);
void aigw_defer_child_init(apr_pool_t *pchild, server_rec *main_server);

#endif
