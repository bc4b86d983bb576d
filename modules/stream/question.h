/* The simple dialects' way from a request to a call: one prompt, a model, perhaps a length and a temperature.
 *
 * Thread: the owner of r, which may block here.
 */
#ifndef AIGW_STREAM_QUESTION_H
#define AIGW_STREAM_QUESTION_H

#include "asked.h"

/* Reads r's body by that form and makes the call. NULL, or why it is refused. */
const aigw_error_t *aigw_question_ask(request_rec *r, const aigw_form_t *form, int stream, aigw_asked_t *asked, aigw_call_t **call);

/* The whole handler of an endpoint that answers once. */
int aigw_question_answer(request_rec *r, const aigw_form_t *form);

#endif
