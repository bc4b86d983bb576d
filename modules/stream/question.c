#include "question.h"
#include "stream.h"
#include "text.h"

const aigw_field_t aigw_question_chat[] = {
    {"message", AIGW_FIELD_TEXT, 1, 1, 0, 0},
    {"model", AIGW_FIELD_NAME, 0, 1, 256, 0},
};

const aigw_field_t aigw_question_generate[] = {
    {"prompt", AIGW_FIELD_TEXT, 1, 1, 4000, 0},       {"model", AIGW_FIELD_NAME, 0, 1, 256, 0},
    {"max_tokens", AIGW_FIELD_INT, 0, 1, 4096, 1024}, {"temperature", AIGW_FIELD_NUMBER, 0, 0, 2, 0.7},
    {"metadata", AIGW_FIELD_OBJECT, 0, 0, 0, 0},
};

const aigw_error_t *aigw_question_ask(request_rec *r, const aigw_field_t *fields, int n, aigw_value_t *values, int stream,
                                      aigw_call_t **call)
{
    const aigw_value_t *text = &values[AIGW_ASK_TEXT];
    const aigw_model_t *model;
    const aigw_error_t *error;
    aigw_intake_t in;
    json_t *messages;

    memset(values, 0, AIGW_ASK_FIELDS * sizeof *values);
    if ((error = aigw_intake_read(&in, r, AIGW_LIMIT_BODY))) {
        return error;
    }
    error = aigw_fields_read(&in, fields, n, values);
    aigw_intake_free(&in);
    if (!error) {
        error = aigw_intake_model(r, values[AIGW_ASK_MODEL].text, &model);
    }
    if (error) {
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
