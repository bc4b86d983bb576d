/* /api/v1/generate: {prompt, model?, max_tokens?, temperature?} → {text}
 * /api/v2/generate: the same and metadata? → {text, meta}: meta is the metadata with model, usage, finish_reason and request_id added */
#include "answer.h"
#include "question.h"
#include "stream.h"
#include "stream_conf.h"
#include "aigw_metadata.h"

static char *shape_v1(const aigw_answer_t *answer, aigw_call_t *call)
{
    return aigw_answer_dump(json_pack("{s:o}", "text", aigw_answer_text(answer, 0)));
}

/* What the gateway says in meta; a member of the metadata by one of these names gives way. */
static char *own_meta(const aigw_answer_t *answer, const aigw_call_t *call)
{
    const aigw_usage_t *u = &call->usage;

    return aigw_answer_dump(json_pack("{s:s,s:{s:o,s:o,s:o},s:s?,s:s}", "model", call->model->name, "usage", "prompt_tokens",
                                      aigw_answer_count(u->prompt_tokens), "completion_tokens", aigw_answer_count(u->completion_tokens),
                                      "total_tokens", aigw_answer_count(aigw_answer_total(u)), "finish_reason",
                                      answer->choices[0].finish_reason, "request_id", call->context->id));
}

static char *shape_v2(const aigw_answer_t *answer, aigw_call_t *call)
{
    aigw_buffer_t b = {NULL, 0, 0};
    char *text = shape_v1(answer, call), *own = own_meta(answer, call), *whole;
    apr_size_t len;

    /* {"text":"..." without its brace, the meta, and the brace again with its NUL */
    if (!text || !own || aigw_buffer_add(&b, text, strlen(text) - 1) != APR_SUCCESS ||
        aigw_buffer_add_text(&b, ",\"meta\":") != APR_SUCCESS || aigw_metadata_join(&b, answer->baton, own) != APR_SUCCESS ||
        aigw_buffer_add(&b, "}", 2) != APR_SUCCESS) {
        aigw_buffer_clear(&b, 0);
    }
    whole = aigw_buffer_take(&b, &len);
    free(text);
    free(own);
    return whole;
}

static const aigw_error_t *understand_v1(aigw_intake_t *in, aigw_asked_t *asked)
{
    return aigw_asked_simple(in, aigw_question_generate, AIGW_QUESTION_GENERATE, asked);
}

static const aigw_error_t *understand_v2(aigw_intake_t *in, aigw_asked_t *asked)
{
    return aigw_asked_simple(in, aigw_question_generate, AIGW_QUESTION_GENERATE_METADATA, asked);
}

static aigw_answer_t *answer_v1(aigw_call_t *call, const aigw_asked_t *asked)
{
    return aigw_answer_make(call, 1, shape_v1, NULL);
}

static aigw_answer_t *answer_v2(aigw_call_t *call, const aigw_asked_t *asked)
{
    return aigw_answer_make(call, 1, shape_v2, (void *)asked->values[AIGW_ASK_METADATA].object);
}

const aigw_form_t aigw_form_generate_v1 = {"/api/v1/generate", understand_v1, answer_v1};
const aigw_form_t aigw_form_generate_v2 = {"/api/v2/generate", understand_v2, answer_v2};

int aigw_dialect_generate(request_rec *r)
{
    return aigw_question_answer(r, aigw_stream_conf_generate_version(r) == 1 ? &aigw_form_generate_v1 : &aigw_form_generate_v2);
}
