/* The simple dialects' way from a request to a call: one prompt, a model, perhaps a length and a temperature.
 *
 * Thread: the owner of r, which may block here.
 */
#ifndef AIGW_STREAM_QUESTION_H
#define AIGW_STREAM_QUESTION_H

#include "fields.h"

/* The places of the fields in a dialect's table; a table may end after any of them but the first two. */
enum { AIGW_ASK_TEXT, AIGW_ASK_MODEL, AIGW_ASK_MAX_TOKENS, AIGW_ASK_TEMPERATURE, AIGW_ASK_METADATA, AIGW_ASK_FIELDS };

/* {message, model?} */
extern const aigw_field_t aigw_question_chat[];
#define AIGW_QUESTION_CHAT 2

/* {prompt, model?, max_tokens?, temperature?, metadata?}; version 1 and the stream know no metadata */
extern const aigw_field_t aigw_question_generate[];
#define AIGW_QUESTION_GENERATE          4
#define AIGW_QUESTION_GENERATE_METADATA 5

/* Reads r's body by that table and makes the call. values has AIGW_ASK_FIELDS places; those behind n are empty. NULL, or why it is refused. */
const aigw_error_t *aigw_question_ask(request_rec *r, const aigw_field_t *fields, int n, aigw_value_t *values, int stream,
                                      aigw_call_t **call);

#endif
