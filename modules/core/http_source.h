/* The source that asks an HTTP upstream (aigw_http.h): connects through the transport, reads the answer, cuts it into events for the provider's decoder. */
#ifndef AIGW_HTTP_SOURCE_H
#define AIGW_HTTP_SOURCE_H

#include "aigw_call.h"
#include "aigw_http.h"

void aigw_http_source(aigw_call_t *call, const aigw_http_request_t *request);

#endif
