/* The meta object of /api/v2/generate: the client's metadata with what the gateway has to say.
 *
 * Thread: any; no state.
 */
#ifndef AIGW_METADATA_H
#define AIGW_METADATA_H

#include "aigw_buffer.h"
#include "aigw_json_scan.h"

/* Appends to b one object: the members of metadata (a scanned object, NULL: none) as the client wrote them, but for those of the gateway's names (model, usage,
 * finish_reason, request_id), and then those of own, the text of a compact object that is not empty. APR_SUCCESS or APR_ENOMEM. */
apr_status_t aigw_metadata_join(aigw_buffer_t *b, const aigw_json_scan_t *metadata, const char *own);

#endif
