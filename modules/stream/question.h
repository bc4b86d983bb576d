/* The simple dialects' way from a request to a call: one prompt, a model, perhaps a length and a temperature.
 *
 * Thread: the owner of r, which may block here.
 */
#ifndef AIGW_STREAM_QUESTION_H
#define AIGW_STREAM_QUESTION_H

#include "aigw_fields.h"
#include "intake.h"

/* Reads r's body by that table and makes the call. values has AIGW_ASK_FIELDS places; those behind n are empty. NULL, or why it is refused. */
const aigw_error_t *aigw_question_ask(request_rec *r, const aigw_field_t *fields, int n, aigw_value_t *values, int stream,
                                      aigw_call_t **call);

#endif
