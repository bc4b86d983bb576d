#include "question.h"
#include "stream.h"

const aigw_error_t *aigw_question_ask(request_rec *r, const aigw_form_t *form, int stream, aigw_asked_t *asked, aigw_call_t **call)
{
    const aigw_error_t *error;
    aigw_intake_t in;

    if ((error = aigw_intake_read(&in, r, AIGW_LIMIT_BODY))) {
        return error;
    }
    error = form->understand(&in, asked);
    aigw_intake_free(&in);
    if (error) {
        /* cppcheck-suppress returnDanglingLifetime ; it is in the request's pool, not in the intake */
        return error;
    }
    /* last, because a call that is made must be run */
    *call = aigw_stream_core->call_make(r, asked->model);
    aigw_asked_fill(*call, asked);
    (*call)->stream = stream;
    return NULL;
}

int aigw_question_answer(request_rec *r, const aigw_form_t *form)
{
    aigw_asked_t *asked = apr_palloc(r->pool, sizeof *asked);
    aigw_call_t *call;
    const aigw_error_t *error = aigw_question_ask(r, form, 0, asked, &call);

    /* what the form took from the body is in r->pool: an answer is shaped only while the client is there */
    return error ? aigw_stream_core->error_send(r, error) : aigw_stream_core->call_run(r, call, &form->answer(call, asked)->sink);
}
