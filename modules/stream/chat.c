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

static const aigw_error_t *understand(aigw_intake_t *in, aigw_asked_t *asked)
{
    return aigw_asked_simple(in, aigw_question_chat, AIGW_QUESTION_CHAT, asked);
}

static aigw_answer_t *answer(aigw_call_t *call, const aigw_asked_t *asked)
{
    return aigw_answer_make(call, 1, shape, NULL);
}

const aigw_form_t aigw_form_chat = {"/v1/chat", understand, answer};

int aigw_dialect_chat(request_rec *r)
{
    return aigw_question_answer(r, &aigw_form_chat);
}
