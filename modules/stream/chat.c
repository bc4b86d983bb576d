/* /v1/chat: {message, model?} → {content, model, usage:{prompt_tokens, completion_tokens}} */
#include "answer.h"
#include "question.h"
#include "stream.h"

static char *shape(const aigw_answer_t *answer, aigw_call_t *call)
{
    return aigw_answer_dump(json_pack("{s:o,s:s,s:{s:o,s:o}}", "content", aigw_answer_text(answer, 0), "model", call->model->name, "usage",
                                      "prompt_tokens", aigw_answer_count(call->usage.prompt_tokens), "completion_tokens",
                                      aigw_answer_count(call->usage.completion_tokens)));
}

int aigw_dialect_chat(request_rec *r)
{
    aigw_value_t values[AIGW_ASK_FIELDS];
    aigw_call_t *call;
    const aigw_error_t *error = aigw_question_ask(r, aigw_question_chat, AIGW_QUESTION_CHAT, values, 0, &call);

    if (error) {
        return aigw_stream_core->error_send(r, error);
    }
    return aigw_stream_core->call_run(r, call, &aigw_answer_make(call, 1, shape, NULL)->sink);
}
