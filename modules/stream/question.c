#include "question.h"
#include "stream.h"
#include "aigw_text.h"

const aigw_error_t *aigw_question_ask(request_rec *r, const aigw_field_t *fields, int n, aigw_value_t *values, int stream,
                                      aigw_call_t **call)
{
    const aigw_value_t *text = &values[AIGW_ASK_TEXT];
    const aigw_model_t *model;
    const aigw_error_t *error;
    aigw_fields_fault_t fault;
    aigw_intake_t in;
    json_t *messages;

    memset(values, 0, AIGW_ASK_FIELDS * sizeof *values);
    if ((error = aigw_intake_read(&in, r, AIGW_LIMIT_BODY))) {
        return error;
    }
    if (aigw_fields_read(&in.scan, fields, n, r->pool, values, &fault) != APR_SUCCESS) {
        error = aigw_intake_invalid(r, fault.param, "%s", fault.message);
    }
    aigw_intake_free(&in);
    if (error || (error = aigw_intake_model(r, values[AIGW_ASK_MODEL].text, &model))) {
        return error;
    }
    messages = json_pack("[{s:s,s:o}]", "role", "user", "content", aigw_text_json(text->text, text->len));
    if (!messages) {
        return aigw_stream_core->error_make(r->pool, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
    }
    /* last, because a call that is made must be run */
    *call = aigw_stream_core->call_make(r, model);
    (*call)->messages = messages;
    (*call)->stream = stream;
    if (n > AIGW_ASK_TEMPERATURE) {
        (*call)->max_tokens = values[AIGW_ASK_MAX_TOKENS].integer;
        (*call)->temperature = values[AIGW_ASK_TEMPERATURE].number;
    }
    return NULL;
}
