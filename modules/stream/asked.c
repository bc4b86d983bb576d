#include "asked.h"
#include "stream.h"
#include "aigw_text.h"

#include <math.h>

const aigw_error_t *aigw_asked_simple(aigw_intake_t *in, const aigw_field_t *fields, int n, aigw_asked_t *asked)
{
    const aigw_value_t *text = &asked->values[AIGW_ASK_TEXT];
    const aigw_error_t *error;
    aigw_fields_fault_t fault;

    memset(asked, 0, sizeof *asked);
    if (aigw_fields_read(&in->scan, fields, n, in->pool, asked->values, &fault) != APR_SUCCESS) {
        return aigw_intake_invalid(in->pool, fault.param, "%s", fault.message);
    }
    if ((error = aigw_intake_model(in->server, in->pool, asked->values[AIGW_ASK_MODEL].text, &asked->model))) {
        return error;
    }
    asked->messages = json_pack("[{s:s,s:o}]", "role", "user", "content", aigw_text_json(text->text, text->len));
    if (!asked->messages) {
        return aigw_stream_core->error_make(in->pool, HTTP_INTERNAL_SERVER_ERROR, "internal_error", NULL, "The gateway is out of memory.");
    }
    asked->choices = 1;
    asked->max_tokens = n > AIGW_ASK_TEMPERATURE ? asked->values[AIGW_ASK_MAX_TOKENS].integer : -1;
    asked->temperature = n > AIGW_ASK_TEMPERATURE ? asked->values[AIGW_ASK_TEMPERATURE].number : NAN;
    return NULL;
}

void aigw_asked_fill(aigw_call_t *call, const aigw_asked_t *asked)
{
    call->messages = asked->messages;
    call->max_tokens = asked->max_tokens;
    call->temperature = asked->temperature;
    if (asked->in) {
        call->body = apr_palloc(call->pool, sizeof *call->body);
        call->body->data = asked->in->data;
        call->body->len = asked->in->len;
        call->body->chat = asked->chat;
        call->raw = AIGW_RAW_OPENAI_CHAT;
    }
}
