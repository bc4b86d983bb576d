/* Where in the address the endpoint ends and what follows it begins.
 */
#ifndef AIGW_STREAM_LOCATION_H
#define AIGW_STREAM_LOCATION_H

#include <httpd.h>

/* The part of r->uri behind the path of the <Location> that gave r its handler: "" or "/…". NULL where that is not known, because the handler was set in
 * a <LocationMatch>, an <If> or elsewhere. Thread: the owner of r. */
const char *aigw_location_tail(request_rec *r);

/* 1 if the sections that hold for r now give it to one of our handlers; before the handler is chosen, from translate_name on. */
int aigw_location_is_endpoint(request_rec *r);

#endif
