/* Sizes as directives have them: "65536", "64K", "16m", "1G".
 *
 * Thread: any; no state.
 */
#ifndef AIGW_SIZE_H
#define AIGW_SIZE_H

#include <apr.h>

/* 1: *bytes is what is written. 0: it is no size, or larger than an apr_off_t can say; *bytes is as it was. */
int aigw_size_read(const char *written, apr_off_t *bytes);

#endif
