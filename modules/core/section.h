/* The configuration that holds for a path, for who has no request: what the <Location> sections of a virtual host make of it.
 */
#ifndef AIGW_SECTION_H
#define AIGW_SECTION_H

#include <httpd.h>
#include <http_config.h>

/* Never NULL: where path is NULL, or no section is for it, what the virtual host says. In p. <Directory>, <Files> and <If> have no part in it: there is no file, and nothing to ask of. Any thread. */
ap_conf_vector_t *aigw_section_of(server_rec *s, const char *path, apr_pool_t *p);

#endif
