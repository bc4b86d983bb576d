/* An upstream's own error, told to the client as WIRE.md section 2 says. */
#ifndef AIGW_OPENAI_FAILURE_H
#define AIGW_OPENAI_FAILURE_H

#include "aigw_call.h"
#include "aigw_completion.h"

/* An answer with a status of 300 or more. Never NULL. */
const aigw_error_t *aigw_openai_failure(void *baton, aigw_call_t *call, int status, const apr_table_t *headers, const char *data,
                                        apr_size_t len);

/* What the server said of a failure (all NULL: nothing), as the client may see it. Never NULL. */
const aigw_error_t *aigw_openai_error(aigw_call_t *call, int status, const aigw_completion_error_t *said);

#endif
